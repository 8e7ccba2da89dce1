// RUN: ditto-opt %s --split-input-file --inline-calls --ditto-recover-oneshots | filecheck %s

// The name says the error, here relative, and the range. Both functions are what the program called, with what that
// called inlined.
// CHECK-LABEL: func.func @main(
// CHECK:         "ditto.oneshot"(%arg0) {error = 1.000000e-05 : f64, function = @cube, high = 4.500000e+00 : f64, low = -4.000000e+00 : f64, otherwise = @cube_otherwise, relative} : (tensor<4xf32>) -> tensor<4xf32>
// CHECK-LABEL: func.func private @cube(
// CHECK-NEXT:    %[[S:.*]] = stablehlo.multiply %arg0, %arg0
// CHECK-NEXT:    stablehlo.multiply %[[S]], %arg0
// CHECK-LABEL: func.func private @cube_otherwise(
// CHECK-NEXT:    %[[S:.*]] = stablehlo.multiply %arg0, %arg0
// CHECK-NEXT:    stablehlo.multiply %[[S]], %arg0
// CHECK-NOT:     ditto_oneshot
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @ditto_oneshot_of_cube_from_m4p0_to_4p5_within_1em05_relative(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @ditto_oneshot_of_cube_from_m4p0_to_4p5_within_1em05_relative(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @square(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = stablehlo.multiply %0, %x : tensor<4xf32>
  return %1 : tensor<4xf32>
}
func.func private @square(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.multiply %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Equal functions are one, also where calls are in other functions; those of another shape are not.
// CHECK-LABEL: func.func @main(
// CHECK:         "ditto.oneshot"(%arg0) {error = 1.000000e-03 : f64, function = @f, otherwise = @f_otherwise}
// CHECK:         "ditto.oneshot"(%{{.*}}) {error = 1.000000e-03 : f64, function = @f, otherwise = @f_otherwise}
// CHECK:         "ditto.oneshot"(%arg1) {error = 1.000000e-03 : f64, function = @f_[[N:[0-9]+]], otherwise = @f_otherwise_{{[0-9]+}}}
func.func @main(%x: tensor<4xf32>, %y: tensor<8xf32>) -> (tensor<4xf32>, tensor<8xf32>) {
  %0 = call @ditto_oneshot_of_f_within_0p001(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = call @layer(%0) : (tensor<4xf32>) -> tensor<4xf32>
  %2 = call @ditto_oneshot_of_f_within_0p001_1(%y) : (tensor<8xf32>) -> tensor<8xf32>
  return %1, %2 : tensor<4xf32>, tensor<8xf32>
}
func.func private @layer(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @ditto_oneshot_of_f_within_0p001_0(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @ditto_oneshot_of_f_within_0p001(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.tanh %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @ditto_oneshot_of_f_within_0p001_0(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.tanh %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @ditto_oneshot_of_f_within_0p001_1(%x: tensor<8xf32>) -> tensor<8xf32> {
  %0 = stablehlo.tanh %x : tensor<8xf32>
  return %0 : tensor<8xf32>
}

// -----

// A name that is nearly one, and says no error, is just a name.
// CHECK-LABEL: func.func @main(
// CHECK-NEXT:    stablehlo.tanh %arg0
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @ditto_oneshot_of_f(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @ditto_oneshot_of_f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.tanh %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
