// RUN: ditto-opt %s --split-input-file --pass-pipeline="builtin.module(ditto-annotate{policy=uniform128},ditto-insert-casts,ditto-outline-regions,ditto-to-pphlo)" | filecheck %s

// With 40 fraction bits the engine itself rounds negative numbers away from zero.
// CHECK-LABEL: func.func @toward_zero(
// CHECK:         %[[N:.*]] = "pphlo.less"(%arg0
// CHECK:         %[[A:.*]] = "pphlo.abs"(%arg0)
// CHECK-NEXT:    %[[M:.*]] = "pphlo.convert"(%[[A]]) : (tensor<4x!pphlo.secret<f32>>) -> tensor<4x!pphlo.secret<i64>>
// CHECK-NEXT:    %[[O:.*]] = "pphlo.negate"(%[[M]])
// CHECK-NEXT:    "pphlo.select"(%[[N]], %[[O]], %[[M]])
func.func @toward_zero(%x: tensor<4xf32>) -> tensor<4xi32> {
  %0 = stablehlo.convert %x : (tensor<4xf32>) -> tensor<4xi32>
  return %0 : tensor<4xi32>
}

// -----

// CHECK-LABEL: func.func @nearest_away_from_zero(
// CHECK:         %[[N:.*]] = "pphlo.less"(%arg0
// CHECK:         %[[A:.*]] = "pphlo.abs"(%arg0)
// CHECK-NEXT:    %[[S:.*]] = "pphlo.add"(%[[A]]
// CHECK-NEXT:    %[[M:.*]] = "pphlo.floor"(%[[S]])
// CHECK-NEXT:    %[[O:.*]] = "pphlo.negate"(%[[M]])
// CHECK-NEXT:    "pphlo.select"(%[[N]], %[[O]], %[[M]])
// CHECK-NOT:     pphlo.round_nearest_afz
func.func @nearest_away_from_zero(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.round_nearest_afz %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
