// RUN: ditto-opt %s --split-input-file --ditto-recover-oneshots --verify-diagnostics

func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{[ditto-recover-oneshots] 'func.call' op: ditto.oneshot of 'f': a one-shot function depends on its argument alone, but it has 2: it must not use arrays of the function around it}}
  %0 = call @ditto_oneshot_of_f_within_0p001(%x, %x) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @ditto_oneshot_of_f_within_0p001(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.multiply %x, %y : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @main(%x: tensor<4xf32>, %i: tensor<4xi32>) -> (tensor<f32>, tensor<4xi32>) {
  // expected-error @+1 {{it must take and give floats of one shape and dtype, found (tensor<4xf32>) -> tensor<f32>}}
  %0 = call @ditto_oneshot_of_total_within_0p001(%x) : (tensor<4xf32>) -> tensor<f32>
  // expected-error @+1 {{it must take and give floats of one shape and dtype, found (tensor<4xi32>) -> tensor<4xi32>}}
  %1 = call @ditto_oneshot_of_integers_within_0p001(%i) : (tensor<4xi32>) -> tensor<4xi32>
  return %0, %1 : tensor<f32>, tensor<4xi32>
}
func.func private @ditto_oneshot_of_total_within_0p001(%x: tensor<4xf32>) -> tensor<f32> {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %0 = stablehlo.reduce(%x init: %zero) applies stablehlo.add across dimensions = [0] : (tensor<4xf32>, tensor<f32>) -> tensor<f32>
  return %0 : tensor<f32>
}
func.func private @ditto_oneshot_of_integers_within_0p001(%x: tensor<4xi32>) -> tensor<4xi32> {
  return %x : tensor<4xi32>
}

// -----

// What keeps the shape may yet mix numbers.
func.func @main(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  // expected-error @+1 {{ditto.oneshot of 'centred': it is not a function of each number alone: it has 'stablehlo.reduce' on f32 numbers}}
  %0 = call @ditto_oneshot_of_centred_within_0p001(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error @+1 {{ditto.oneshot of 'reversed': it is not a function of each number alone: it has 'stablehlo.reverse' on f32 numbers}}
  %1 = call @ditto_oneshot_of_reversed_within_0p001(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0, %1 : tensor<4xf32>, tensor<4xf32>
}
func.func private @ditto_oneshot_of_centred_within_0p001(%x: tensor<4xf32>) -> tensor<4xf32> {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %0 = stablehlo.reduce(%x init: %zero) applies stablehlo.add across dimensions = [0] : (tensor<4xf32>, tensor<f32>) -> tensor<f32>
  %1 = stablehlo.broadcast_in_dim %0, dims = [] : (tensor<f32>) -> tensor<4xf32>
  %2 = stablehlo.subtract %x, %1 : tensor<4xf32>
  return %2 : tensor<4xf32>
}
func.func private @ditto_oneshot_of_reversed_within_0p001(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.reverse %x, dims = [0] : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @main(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  // expected-error @+1 {{its error must be positive, and its range must have ends low < high}}
  %0 = call @ditto_oneshot_of_f_within_0p0(%x) : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error @+1 {{its error must be positive, and its range must have ends low < high}}
  %1 = call @ditto_oneshot_of_f_from_3p0_to_2p0_within_0p1(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0, %1 : tensor<4xf32>, tensor<4xf32>
}
func.func private @ditto_oneshot_of_f_within_0p0(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
func.func private @ditto_oneshot_of_f_from_3p0_to_2p0_within_0p1(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
