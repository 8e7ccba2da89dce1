// RUN: ditto-opt %s --split-input-file --pass-pipeline="builtin.module(ditto-annotate{policy=uniform64},ditto-insert-casts,ditto-outline-regions,ditto-to-pphlo)" | filecheck %s

// The engine wants the initial value as secret as the rest.
// CHECK-LABEL: func.func @sum(
// CHECK:         %[[Z:.*]] = "pphlo.convert"(%{{.*}}) : (tensor<f32>) -> tensor<!pphlo.secret<f32>>
// CHECK:         "pphlo.reduce"(%arg0, %[[Z]])
// CHECK:           %[[A:.*]] = "pphlo.add"
// CHECK-NEXT:      "pphlo.return"(%[[A]])
// CHECK:         {dimensions = array<i64: 1>} : {{.*}} -> tensor<4x!pphlo.secret<f32>>
func.func @sum(%x: tensor<4x2xf32>) -> tensor<4xf32> {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %0 = stablehlo.reduce(%x init: %zero) applies stablehlo.add across dimensions = [1]
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
