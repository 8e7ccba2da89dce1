// RUN: ditto-opt %s --split-input-file --ditto-apply-rules='policy=%S/Inputs/planned_invalid.toml' --verify-diagnostics

// expected-error @+1 {{'builtin.module' op: the module has no explicit casts; run ditto-insert-casts first}}
module {
  func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}

// -----

module attributes {ditto.stage = "cast"} {
  func.func @main(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    // expected-error @+1 {{'stablehlo.add' op: rule 'no product' of policy 'planned_invalid' sets the fraction bits of factors; it is not a product}}
    %0 = stablehlo.add %x, %x : tensor<4xf32, #ditto.fxp<64, 18>>
    // expected-error @+1 {{'stablehlo.subtract' op: rule 'no function' of policy 'planned_invalid' sets an error; it is not a one-shot function}}
    %1 = stablehlo.subtract %0, %x : tensor<4xf32, #ditto.fxp<64, 18>>
    return %1 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}
