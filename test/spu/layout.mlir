// RUN: ditto-opt %s --split-input-file --pass-pipeline="builtin.module(ditto-annotate{policy=uniform64},ditto-insert-casts,ditto-outline-regions,ditto-to-pphlo)" | filecheck %s

// CHECK-LABEL: func.func @rearrangements(
// A repeated tensor is copied, by reshapes that cannot keep its strides of zero.
// CHECK:         %[[A:.*]] = "pphlo.broadcast"(%arg0) {broadcast_dimensions = array<i64: 1>} : {{.*}} -> tensor<2x4x!pphlo.secret<f32>>
// CHECK:         %[[F:.*]] = "pphlo.reshape"(%[[A]]) : {{.*}} -> tensor<8x!pphlo.secret<f32>>
// CHECK:         %[[L:.*]] = "pphlo.reshape"(%[[F]]) : {{.*}} -> tensor<2x4x!pphlo.secret<f32>>
// CHECK:         %[[B:.*]] = "pphlo.transpose"(%[[L]]) {permutation = array<i64: 1, 0>}
// CHECK:         %[[C:.*]] = "pphlo.reshape"(%[[B]]) : {{.*}} -> tensor<8x!pphlo.secret<f32>>
// CHECK:         %[[D:.*]] = "pphlo.reverse"(%[[C]]) {dimensions = array<i64: 0>}
// CHECK:         "pphlo.slice"(%[[D]]) {limit_indices = array<i64: 7>, start_indices = array<i64: 1>, strides = array<i64: 2>} : {{.*}} -> tensor<3x!pphlo.secret<f32>>
func.func @rearrangements(%x: tensor<4xf32>) -> tensor<3xf32> {
  %0 = stablehlo.broadcast_in_dim %x, dims = [1] : (tensor<4xf32>) -> tensor<2x4xf32>
  %1 = stablehlo.transpose %0, dims = [1, 0] : (tensor<2x4xf32>) -> tensor<4x2xf32>
  %2 = stablehlo.reshape %1 : (tensor<4x2xf32>) -> tensor<8xf32>
  %3 = stablehlo.reverse %2, dims = [0] : tensor<8xf32>
  %4 = stablehlo.slice %3 [1:7:2] : (tensor<8xf32>) -> tensor<3xf32>
  return %4 : tensor<3xf32>
}

// -----

// The engine takes no negative padding: the edge is cut off afterwards. 4 + 2 to the left is 6, less 1 is 5.
// CHECK-LABEL: func.func @negative_padding(
// CHECK:         %[[P:.*]] = "pphlo.pad"(%arg0, %{{.*}}) {edge_padding_high = array<i64: 0>, edge_padding_low = array<i64: 2>, interior_padding = array<i64: 0>} : {{.*}} -> tensor<6x!pphlo.secret<f32>>
// CHECK:         "pphlo.slice"(%[[P]]) {limit_indices = array<i64: 5>, start_indices = array<i64: 0>
func.func @negative_padding(%x: tensor<4xf32>) -> tensor<5xf32> {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %0 = stablehlo.pad %x, %zero, low = [2], high = [-1], interior = [0] : (tensor<4xf32>, tensor<f32>) -> tensor<5xf32>
  return %0 : tensor<5xf32>
}

// -----

// CHECK-LABEL: func.func @public_index(
// CHECK:         "pphlo.dynamic_slice"(%arg0, %arg1) {slice_sizes = array<i64: 2>} : (tensor<8x!pphlo.secret<f32>>, tensor<i64>)
func.func @public_index(%x: tensor<8xf32>, %i: tensor<i32> {ditto.visibility = "public"}) -> tensor<2xf32> {
  %0 = stablehlo.dynamic_slice %x, %i, sizes = [2] : (tensor<8xf32>, tensor<i32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}

// -----

// CHECK-LABEL: func.func @barrier(
// CHECK:       func.func private @r0(
// CHECK-NOT:     pphlo.optimization_barrier
// CHECK:         %[[N:.*]] = "pphlo.negate"
// CHECK:         return %[[N]]
func.func @barrier(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.negate %x : tensor<4xf32>
  %1 = stablehlo.optimization_barrier %0 : tensor<4xf32>
  return %1 : tensor<4xf32>
}
