// RUN: ditto-opt %s --ditto-check-policy='policy=%S/Inputs/forms.toml' | filecheck %s
// RUN: ditto-opt %s --ditto-check-policy | filecheck %s
// RUN: ditto-opt %s --canonicalize --cse --ditto-check-policy='policy=ditto' | filecheck %s --check-prefix=PRESET

// Its scopes are all here, one inside a region, and only on a constant that nothing uses.
// CHECK-LABEL: func.func @main(
// CHECK-NEXT:    stablehlo.constant
// CHECK-NEXT:    "stablehlo.if"

// A preset has no scopes.
// PRESET-LABEL: func.func @main(
func.func @main(%p: tensor<i1>, %x: tensor<f32>) -> tensor<f32> {
  %unused = stablehlo.constant dense<1.0> : tensor<f32> loc("jit(f)/layer1/mul")
  %0 = "stablehlo.if"(%p) ({
    %1 = stablehlo.tanh %x : tensor<f32> loc("jit(f)/layer0/tanh")
    stablehlo.return %1 : tensor<f32>
  }, {
    stablehlo.return %x : tensor<f32>
  }) : (tensor<i1>) -> tensor<f32>
  return %0 : tensor<f32>
}
