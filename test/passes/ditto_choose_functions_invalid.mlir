// RUN: ditto-opt %s --split-input-file --ditto-choose-functions --verify-diagnostics
// RUN: not ditto-opt %s --ditto-choose-functions='beside=share' 2>&1 | filecheck %s --check-prefix=BESIDE
// RUN: not ditto-opt %s --ditto-choose-functions='margin=0.5' 2>&1 | filecheck %s --check-prefix=MARGIN

// BESIDE: beside must be one of none, shares, got 'share'; did you mean 'shares'?
// MARGIN: margin must be a number from 1 on, got 0.5

// expected-error @+1 {{'builtin.module' op: ditto-annotate has run already; run this pass before it}}
module attributes {ditto.stage = "annotated"} {
  func.func @annotated(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// It could be computed in one go, if the range of its argument were known.
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{[ditto-choose-functions] 'stablehlo.tan' op: the engine has no private implementation of it; a one-shot function is computed as @tan: the range of its argument is not known; calibrate (ditto.calibrate)}}
  %0 = "ditto.oneshot"(%x) {function = @tan, otherwise = @tan, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @tan(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.tan %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
