// RUN: ditto-opt %s --split-input-file --pass-pipeline="builtin.module(ditto-annotate{policy=uniform64},ditto-insert-casts,ditto-outline-regions,ditto-to-pphlo)" | filecheck %s

// CHECK-LABEL: func.func @matrix_product(
// CHECK:         "pphlo.dot"(%arg0, %arg1) : {{.*}} -> tensor<2x4x!pphlo.secret<f32>>
// CHECK-NOT:     pphlo.transpose
func.func @matrix_product(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>) -> tensor<2x4xf32> {
  %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>
  return %0 : tensor<2x4xf32>
}

// -----

// x w^T: the engine contracts the last dimension with the first, so w is turned.
// CHECK-LABEL: func.func @transposed(
// CHECK:         %[[T:.*]] = "pphlo.transpose"(%arg1) {permutation = array<i64: 1, 0>} : {{.*}} -> tensor<8x4x!pphlo.secret<f32>>
// CHECK:         "pphlo.dot"(%arg0, %[[T]])
func.func @transposed(%x: tensor<2x8xf32>, %w: tensor<4x8xf32>) -> tensor<2x4xf32> {
  %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [1] : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
  return %0 : tensor<2x4xf32>
}

// -----

// Attention scores: all batching dimensions become one, and a transposed operand is copied.
// CHECK-LABEL: func.func @batched(
// CHECK-DAG:     %[[L:.*]] = "pphlo.reshape"(%{{.*}}) : {{.*}} -> tensor<6x4x8x!pphlo.secret<f32>>
// CHECK-DAG:     %[[T:.*]] = "pphlo.transpose"(%arg1) {permutation = array<i64: 0, 1, 3, 2>}
// CHECK-DAG:     %[[F:.*]] = "pphlo.reshape"(%[[T]]) : {{.*}} -> tensor<240x!pphlo.secret<f32>>
// CHECK-DAG:     %[[C:.*]] = "pphlo.reshape"(%[[F]]) : {{.*}} -> tensor<2x3x8x5x!pphlo.secret<f32>>
// CHECK-DAG:     %[[R:.*]] = "pphlo.reshape"(%[[C]]) : {{.*}} -> tensor<6x8x5x!pphlo.secret<f32>>
// CHECK:         %[[D:.*]] = "pphlo.dot_general"(%[[L]], %[[R]]) {{.*}} -> tensor<6x4x5x!pphlo.secret<f32>>
// CHECK:         "pphlo.reshape"(%[[D]]) : {{.*}} -> tensor<2x3x4x5x!pphlo.secret<f32>>
func.func @batched(%q: tensor<2x3x4x8xf32>, %k: tensor<2x3x5x8xf32>) -> tensor<2x3x4x5xf32> {
  %0 = stablehlo.dot_general %q, %k, batching_dims = [0, 1] x [0, 1], contracting_dims = [3] x [3]
    : (tensor<2x3x4x8xf32>, tensor<2x3x5x8xf32>) -> tensor<2x3x4x5xf32>
  return %0 : tensor<2x3x4x5xf32>
}

// -----

// Scalar product of vectors.
// CHECK-LABEL: func.func @vectors(
// CHECK-DAG:     %[[L:.*]] = "pphlo.reshape"(%arg0) : {{.*}} -> tensor<1x8x!pphlo.secret<f32>>
// CHECK-DAG:     %[[R:.*]] = "pphlo.reshape"(%arg1) : {{.*}} -> tensor<8x1x!pphlo.secret<f32>>
// CHECK:         %[[D:.*]] = "pphlo.dot"(%[[L]], %[[R]])
// CHECK:         "pphlo.reshape"(%[[D]]) : {{.*}} -> tensor<!pphlo.secret<f32>>
func.func @vectors(%x: tensor<8xf32>, %y: tensor<8xf32>) -> tensor<f32> {
  %0 = stablehlo.dot_general %x, %y, contracting_dims = [0] x [0] : (tensor<8xf32>, tensor<8xf32>) -> tensor<f32>
  return %0 : tensor<f32>
}

// -----

// As NHWC x HWIO, with the padding made explicit: 6 + 1 + 1 = 8.
// CHECK-LABEL: func.func @convolution(
// CHECK-DAG:     %[[K:.*]] = "pphlo.transpose"(%arg1) {{.*}} -> tensor<3x3x2x5x!pphlo.secret<f32>>
// CHECK-DAG:     %[[X:.*]] = "pphlo.pad"(%{{.*}}) {{.*}} -> tensor<1x8x8x2x!pphlo.secret<f32>>
// CHECK:         %[[C:.*]] = "pphlo.convolution"(%[[X]], %[[K]]) {{.*}}window_strides = array<i64: 1, 1>{{.*}} -> tensor<1x6x6x5x!pphlo.secret<f32>>
// CHECK:         "pphlo.transpose"(%[[C]]) {permutation = array<i64: 0, 3, 1, 2>} : {{.*}} -> tensor<1x5x6x6x!pphlo.secret<f32>>
func.func @convolution(%x: tensor<1x2x6x6xf32>, %k: tensor<5x2x3x3xf32>) -> tensor<1x5x6x6xf32> {
  %0 = stablehlo.convolution(%x, %k) dim_numbers = [b, f, 0, 1]x[o, i, 0, 1]->[b, f, 0, 1],
    window = {stride = [1, 1], pad = [[1, 1], [1, 1]]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64}
    : (tensor<1x2x6x6xf32>, tensor<5x2x3x3xf32>) -> tensor<1x5x6x6xf32>
  return %0 : tensor<1x5x6x6xf32>
}
