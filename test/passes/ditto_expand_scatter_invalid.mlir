// RUN: ditto-opt %s --split-input-file --ditto-expand-scatter --verify-diagnostics

// expected-error @+1 {{'builtin.module' op: ditto-annotate has run already; run this pass before it}}
module attributes {ditto.stage = "annotated"} {
  func.func @annotated(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

func.func @apply(%x: tensor<5xf32>, %i: tensor<1xi32> {ditto.visibility = "public"}, %u: tensor<f32>) -> tensor<5xf32> {
  // expected-error @+1 {{at an index that the program computes, elements can be set, added, multiplied}}
  %0 = "stablehlo.scatter"(%x, %i, %u) <{scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0], scatter_dims_to_operand_dims = [0]>}> ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %s = stablehlo.subtract %b, %a : tensor<f32>
    stablehlo.return %s : tensor<f32>
  }) : (tensor<5xf32>, tensor<1xi32>, tensor<f32>) -> tensor<5xf32>
  return %0 : tensor<5xf32>
}
