// RUN: ditto-opt %s --split-input-file --ditto-check-supported | filecheck %s
// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-check-supported

// A program that runs is left as it is.
// CHECK-LABEL: func.func @public_loop(
// CHECK:         stablehlo.while
func.func @public_loop(%x: tensor<f32>) -> tensor<f32> {
  %i = stablehlo.constant dense<0> : tensor<i32>
  %0:2 = stablehlo.while(%n = %i, %s = %x) : tensor<i32>, tensor<f32>
    cond {
      %c = stablehlo.constant dense<3> : tensor<i32>
      %1 = stablehlo.compare LT, %n, %c : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %1 : tensor<i1>
    } do {
      %one = stablehlo.constant dense<1> : tensor<i32>
      %1 = stablehlo.add %n, %one : tensor<i32>
      %2 = stablehlo.add %s, %s : tensor<f32>
      stablehlo.return %1, %2 : tensor<i32>, tensor<f32>
    }
  return %0#1 : tensor<f32>
}

// -----

// CHECK-LABEL: func.func @public_index(
// CHECK:         stablehlo.dynamic_slice
func.func @public_index(%x: tensor<8xf32>, %i: tensor<i32> {ditto.visibility = "public"}) -> tensor<2xf32> {
  %0 = stablehlo.dynamic_slice %x, %i, sizes = [2] : (tensor<8xf32>, tensor<i32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}

// -----

// A large constant of one value says nothing about a weight; integers are shapes and indices.
// CHECK-LABEL: func.func @harmless_constants(
// CHECK:         stablehlo.constant
func.func @harmless_constants() -> (tensor<2000xf32>, tensor<2000xi32>) {
  %0 = stablehlo.constant dense<1.0> : tensor<2000xf32>
  %1 = stablehlo.iota dim = 0 : tensor<2000xi32>
  return %0, %1 : tensor<2000xf32>, tensor<2000xi32>
}

// -----

// CHECK-LABEL: func.func @identity_reductions(
// CHECK-COUNT-2: stablehlo.reduce
func.func @identity_reductions(%x: tensor<4x2xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %lowest = stablehlo.constant dense<0xFF800000> : tensor<f32>
  %0 = stablehlo.reduce(%x init: %zero) applies stablehlo.add across dimensions = [1]
    : (tensor<4x2xf32>, tensor<f32>) -> tensor<4xf32>
  %1 = stablehlo.reduce(%x init: %lowest) applies stablehlo.maximum across dimensions = [1]
    : (tensor<4x2xf32>, tensor<f32>) -> tensor<4xf32>
  return %0, %1 : tensor<4xf32>, tensor<4xf32>
}
