// RUN: ditto-opt %s --split-input-file --pass-pipeline="builtin.module(ditto-annotate{policy=uniform64},ditto-insert-casts,ditto-legalize-constants,ditto-expand-reductions,ditto-outline-regions,ditto-to-pphlo)" | filecheck %s

// A sum is a product with ones: local, for those are public, and of integers, which are not truncated.
// CHECK-LABEL: func.func @sum(
// CHECK:         %[[X:.*]] = "pphlo.bitcast_convert"(%arg0) : {{.*}} -> tensor<4x2x!pphlo.secret<i64>>
// CHECK:         %[[ONES:.*]] = "pphlo.constant"() {value = dense<1> : tensor<2x1xi64>}
// CHECK:         %[[S:.*]] = "pphlo.dot"(%[[X]], %[[ONES]]) : {{.*}} -> tensor<4x1x!pphlo.secret<i64>>
// CHECK:         %[[R:.*]] = "pphlo.reshape"(%[[S]]) : {{.*}} -> tensor<4x!pphlo.secret<i64>>
// CHECK:         "pphlo.bitcast_convert"(%[[R]]) : {{.*}} -> tensor<4x!pphlo.secret<f32>>
// CHECK-NOT:     pphlo.reduce
func.func @sum(%x: tensor<4x2xf32>) -> tensor<4xf32> {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %0 = stablehlo.reduce(%x init: %zero) applies stablehlo.add across dimensions = [1]
    : (tensor<4x2xf32>, tensor<f32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// A maximum halves the first axis; an odd one out waits: 3 -> 1 + 1 -> 1.
// CHECK-LABEL: func.func @max(
// CHECK:         %[[T:.*]] = "pphlo.transpose"(%arg0) {permutation = array<i64: 1, 0>} : {{.*}} -> tensor<3x2x!pphlo.secret<f32>>
// CHECK:         %[[A:.*]] = "pphlo.slice"(%[[T]]) {limit_indices = array<i64: 1, 2>, start_indices = array<i64: 0, 0>
// CHECK:         %[[B:.*]] = "pphlo.slice"(%[[T]]) {limit_indices = array<i64: 2, 2>, start_indices = array<i64: 1, 0>
// CHECK:         %[[M:.*]] = "pphlo.maximum"(%[[A]], %[[B]])
// CHECK:         %[[C:.*]] = "pphlo.slice"(%[[T]]) {limit_indices = array<i64: 3, 2>, start_indices = array<i64: 2, 0>
// CHECK:         %[[J:.*]] = "pphlo.concatenate"(%[[M]], %[[C]])
// CHECK:         "pphlo.maximum"
// CHECK-NOT:     pphlo.maximum
func.func @max(%x: tensor<2x3xf32>) -> tensor<2xf32> {
  %lowest = stablehlo.constant dense<0xFF800000> : tensor<f32>
  %0 = stablehlo.reduce(%x init: %lowest) applies stablehlo.maximum across dimensions = [1]
    : (tensor<2x3xf32>, tensor<f32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}

// -----

// The engine wants the initial value of any other reduction as secret as the rest.
// CHECK-LABEL: func.func @product(
// CHECK:         %[[Z:.*]] = "pphlo.convert"(%{{.*}}) : (tensor<f32>) -> tensor<!pphlo.secret<f32>>
// CHECK:         "pphlo.reduce"(%arg0, %[[Z]])
// CHECK:           %[[A:.*]] = "pphlo.multiply"
// CHECK-NEXT:      "pphlo.return"(%[[A]])
// CHECK:         {dimensions = array<i64: 1>} : {{.*}} -> tensor<4x!pphlo.secret<f32>>
func.func @product(%x: tensor<4x2xf32>) -> tensor<4xf32> {
  %one = stablehlo.constant dense<1.0> : tensor<f32>
  %0 = stablehlo.reduce(%x init: %one) applies stablehlo.multiply across dimensions = [1]
    : (tensor<4x2xf32>, tensor<f32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// CHECK-LABEL: func.func @window(
// CHECK:         "pphlo.reduce_window"(%arg0,
// CHECK:           "pphlo.maximum"
// CHECK:         window_dimensions = array<i64: 1, 2, 2, 1>{{.*}}window_strides = array<i64: 1, 2, 2, 1>
func.func @window(%x: tensor<1x4x4x1xf32>) -> tensor<1x2x2x1xf32> {
  %lowest = stablehlo.constant dense<0xFF800000> : tensor<f32>
  %0 = "stablehlo.reduce_window"(%x, %lowest) <{window_dimensions = array<i64: 1, 2, 2, 1>, window_strides = array<i64: 1, 2, 2, 1>}> ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %1 = stablehlo.maximum %a, %b : tensor<f32>
    stablehlo.return %1 : tensor<f32>
  }) : (tensor<1x4x4x1xf32>, tensor<f32>) -> tensor<1x2x2x1xf32>
  return %0 : tensor<1x2x2x1xf32>
}
