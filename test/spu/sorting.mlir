// RUN: ditto-opt %s --split-input-file --pass-pipeline="builtin.module(ditto-annotate{policy=uniform64},ditto-insert-casts,ditto-outline-regions,ditto-to-pphlo)" | filecheck %s

// CHECK-LABEL: func.func @ascending(
// CHECK:         "pphlo.simple_sort"(%arg0) {dimension = 0 : i64, num_keys = 1 : i64, sort_direction = #pphlo<sort_direction ASC>}
func.func @ascending(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "stablehlo.sort"(%x) <{dimension = 0 : i64}> ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %1 = stablehlo.compare LT, %a, %b : (tensor<f32>, tensor<f32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  }) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// b < a is descending; the second operand moves with the first; the last dimension is dimension 1.
// CHECK-LABEL: func.func @descending_with_payload(
// CHECK:         "pphlo.simple_sort"(%arg0, %arg1) {dimension = 1 : i64, num_keys = 1 : i64, sort_direction = #pphlo<sort_direction DES>}
func.func @descending_with_payload(%x: tensor<2x4xf32>, %y: tensor<2x4xi32>) -> (tensor<2x4xf32>, tensor<2x4xi32>) {
  %0:2 = "stablehlo.sort"(%x, %y) <{dimension = -1 : i64}> ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>, %c: tensor<i32>, %d: tensor<i32>):
    %1 = stablehlo.compare LT, %b, %a : (tensor<f32>, tensor<f32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  }) : (tensor<2x4xf32>, tensor<2x4xi32>) -> (tensor<2x4xf32>, tensor<2x4xi32>)
  return %0#0, %0#1 : tensor<2x4xf32>, tensor<2x4xi32>
}
