// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-expand-ops

func.func @of_a_secret_key(%bits: tensor<4xui32>) -> tensor<4xf32> {
  %nine = stablehlo.constant dense<9> : tensor<4xui32>
  %one = stablehlo.constant dense<1065353216> : tensor<4xui32>
  %0 = stablehlo.shift_right_logical %bits, %nine : tensor<4xui32>
  %1 = stablehlo.or %0, %one : tensor<4xui32>
  // expected-error @+1 {{it makes random numbers of secret bits; make the key of jax.random public (visibility), or draw the numbers outside of the program and pass them in}}
  %2 = stablehlo.bitcast_convert %1 : (tensor<4xui32>) -> tensor<4xf32>
  return %2 : tensor<4xf32>
}
