// RUN: ditto-opt %s --split-input-file --ditto-expand-ops | filecheck %s

// One product for both groups: the window has three elements, and each group two features.
// CHECK-LABEL: func.func @groups(
// CHECK-COUNT-3: stablehlo.slice
// CHECK:         stablehlo.dot_general %{{.*}}, %{{.*}}, batching_dims = [1] x [2], contracting_dims = [0, 4] x [0, 1]
// CHECK-SAME:      (tensor<3x2x1x6x2xf32>, tensor<3x2x2x3xf32>) -> tensor<2x1x6x3xf32>
// CHECK-NOT:     stablehlo.convolution
func.func @groups(%x: tensor<1x8x4xf32>, %k: tensor<3x2x6xf32>) -> tensor<1x6x6xf32> {
  %0 = stablehlo.convolution(%x, %k) dim_numbers = [b, 0, f]x[0, i, o]->[b, 0, f], window = {}
    {batch_group_count = 1 : i64, feature_group_count = 2 : i64} : (tensor<1x8x4xf32>, tensor<3x2x6xf32>) -> tensor<1x6x6xf32>
  return %0 : tensor<1x6x6xf32>
}

// -----

// In a gradient by the kernel, the window is larger than the result: slices are one for each of its places.
// CHECK-LABEL: func.func @large_window(
// CHECK-COUNT-2: stablehlo.slice
// CHECK-NOT:     stablehlo.slice
// CHECK:         stablehlo.dot_general
func.func @large_window(%x: tensor<1x8x4xf32>, %k: tensor<7x2x6xf32>) -> tensor<1x2x6xf32> {
  %0 = stablehlo.convolution(%x, %k) dim_numbers = [b, 0, f]x[0, i, o]->[b, 0, f], window = {}
    {batch_group_count = 1 : i64, feature_group_count = 2 : i64} : (tensor<1x8x4xf32>, tensor<7x2x6xf32>) -> tensor<1x2x6xf32>
  return %0 : tensor<1x2x6xf32>
}

// -----

// The engine has it.
// CHECK-LABEL: func.func @one_group(
// CHECK:         stablehlo.convolution
func.func @one_group(%x: tensor<1x8x4xf32>, %k: tensor<3x4x6xf32>) -> tensor<1x6x6xf32> {
  %0 = stablehlo.convolution(%x, %k) dim_numbers = [b, 0, f]x[0, i, o]->[b, 0, f], window = {}
    {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : (tensor<1x8x4xf32>, tensor<3x4x6xf32>) -> tensor<1x6x6xf32>
  return %0 : tensor<1x6x6xf32>
}

// -----

// CHECK-LABEL: func.func @pool(
// CHECK:         %[[KEEPS:.*]] = stablehlo.compare GE, %{{.*}}, %{{.*}}, FLOAT : (tensor<1x2xf32>, tensor<1x2xf32>)
// CHECK:         stablehlo.not %[[KEEPS]]
// CHECK:         stablehlo.select
// CHECK:         stablehlo.select
// CHECK-NOT:     stablehlo.select_and_scatter
func.func @pool(%x: tensor<4xf32>, %n: tensor<2xf32>) -> tensor<4xf32> {
  %c = stablehlo.constant dense<0.0> : tensor<f32>
  %0 = "stablehlo.select_and_scatter"(%x, %n, %c) <{window_dimensions = array<i64: 2>, window_strides = array<i64: 2>}> ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %1 = stablehlo.compare GE, %a, %b, FLOAT : (tensor<f32>, tensor<f32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  }, {
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %1 = stablehlo.add %a, %b : tensor<f32>
    stablehlo.return %1 : tensor<f32>
  }) : (tensor<4xf32>, tensor<2xf32>, tensor<f32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Whatever is selected so, is not the largest: ditto-check-supported says that it cannot run.
// CHECK-LABEL: func.func @by_something_else(
// CHECK:         stablehlo.select_and_scatter
func.func @by_something_else(%x: tensor<4xf32>, %n: tensor<2xf32>) -> tensor<4xf32> {
  %c = stablehlo.constant dense<0.0> : tensor<f32>
  %0 = "stablehlo.select_and_scatter"(%x, %n, %c) <{window_dimensions = array<i64: 2>, window_strides = array<i64: 2>}> ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %1 = stablehlo.compare NE, %a, %b, FLOAT : (tensor<f32>, tensor<f32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  }, {
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %1 = stablehlo.add %a, %b : tensor<f32>
    stablehlo.return %1 : tensor<f32>
  }) : (tensor<4xf32>, tensor<2xf32>, tensor<f32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// 18 of the 23 random bits are used.
// CHECK-LABEL: func.func @random(
// CHECK:         stablehlo.and
// CHECK:         stablehlo.shift_right_logical
// CHECK:         %[[N:.*]] = stablehlo.convert %{{.*}} : (tensor<4xui32>) -> tensor<4xf32>
// CHECK:         stablehlo.multiply %[[N]]
// CHECK-NOT:     bitcast_convert
func.func @random(%bits: tensor<4xui32> {ditto.visibility = "public"}) -> tensor<4xf32> {
  %nine = stablehlo.constant dense<9> : tensor<4xui32>
  %one = stablehlo.constant dense<1065353216> : tensor<4xui32>
  %0 = stablehlo.shift_right_logical %bits, %nine : tensor<4xui32>
  %1 = stablehlo.or %0, %one : tensor<4xui32>
  %2 = stablehlo.bitcast_convert %1 : (tensor<4xui32>) -> tensor<4xf32>
  return %2 : tensor<4xf32>
}

// -----

// One bit too many would be part of the exponent.
// CHECK-LABEL: func.func @no_random_float(
// CHECK:         bitcast_convert
func.func @no_random_float(%bits: tensor<4xui32> {ditto.visibility = "public"}) -> tensor<4xf32> {
  %eight = stablehlo.constant dense<8> : tensor<4xui32>
  %one = stablehlo.constant dense<1065353216> : tensor<4xui32>
  %0 = stablehlo.shift_right_logical %bits, %eight : tensor<4xui32>
  %1 = stablehlo.or %0, %one : tensor<4xui32>
  %2 = stablehlo.bitcast_convert %1 : (tensor<4xui32>) -> tensor<4xf32>
  return %2 : tensor<4xf32>
}

// -----

// CHECK-LABEL: func.func @sign(
// CHECK:         stablehlo.compare LT, %arg0
// CHECK-NOT:     bitcast_convert
func.func @sign(%x: tensor<4xf32>) -> tensor<4xi32> {
  %amount = stablehlo.constant dense<31> : tensor<4xi32>
  %0 = stablehlo.bitcast_convert %x : (tensor<4xf32>) -> tensor<4xi32>
  %1 = stablehlo.shift_right_arithmetic %0, %amount : tensor<4xi32>
  return %1 : tensor<4xi32>
}

// -----

// CHECK-LABEL: func.func @exponent(
// CHECK:         bitcast_convert
func.func @exponent(%x: tensor<4xf32>) -> tensor<4xi32> {
  %amount = stablehlo.constant dense<23> : tensor<4xi32>
  %0 = stablehlo.bitcast_convert %x : (tensor<4xf32>) -> tensor<4xi32>
  %1 = stablehlo.shift_right_arithmetic %0, %amount : tensor<4xi32>
  return %1 : tensor<4xi32>
}
