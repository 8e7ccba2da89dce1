// RUN: ditto-opt %s --ditto-choose-functions --remarks --verify-diagnostics

// A remark says of each function what was decided.
func.func @main(%x: tensor<4xf32> {ditto.range = array<f64: -3.0, 1.0>}, %y: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  // expected-remark @+1 {{[ditto-choose-functions] 'ditto.oneshot' op: is computed in one go on [-6, 4], as calibration measured, with a margin of 2}}
  %0 = "ditto.oneshot"(%x) {function = @f, otherwise = @g, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  // expected-remark @+1 {{is computed as @g: the range of its argument is not known; calibrate (ditto.calibrate)}}
  %1 = "ditto.oneshot"(%y) {function = @f, otherwise = @g, error = 1.0e-3 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  // expected-remark @+1 {{is computed in one go on [-2, 2], as the program states, behind a clip, for more is possible}}
  %2 = "ditto.oneshot"(%x) {function = @f, otherwise = @g, error = 1.0e-3 : f64, low = -2.0 : f64, high = 2.0 : f64} : (tensor<4xf32>) -> tensor<4xf32>
  return %0, %1, %2 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}
func.func private @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.tanh %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @g(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.negate %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
