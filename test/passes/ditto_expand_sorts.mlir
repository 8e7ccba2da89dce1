// RUN: ditto-opt %s --split-input-file --ditto-expand-sorts | filecheck %s
// RUN: ditto-opt %s --split-input-file --ditto-expand-sorts='max-pairs=8' | filecheck %s --check-prefix=FEW

// An element goes to its own place, less the earlier ones that it passes, and more by the later ones that pass it.
// CHECK-LABEL: func.func @ascending(
// CHECK:         %[[LEFT:.*]] = stablehlo.broadcast_in_dim %arg0, dims = [0, 1] : (tensor<2x3xf32>) -> tensor<2x3x3xf32>
// CHECK-NEXT:    %[[RIGHT:.*]] = stablehlo.broadcast_in_dim %arg0, dims = [0, 2]
// CHECK-NEXT:    %[[LESS:.*]] = stablehlo.compare LT, %[[LEFT]], %[[RIGHT]], FLOAT
// CHECK:         %[[BELOW:.*]] = stablehlo.broadcast_in_dim %{{.*}}, dims = [1, 2] : (tensor<3x3xi1>) -> tensor<2x3x3xi1>
// CHECK-NEXT:    %[[PASSES:.*]] = stablehlo.and %[[LESS]], %[[BELOW]]
// CHECK-NEXT:    %[[NUMBERS:.*]] = stablehlo.convert %[[PASSES]]
// CHECK:         %[[BY:.*]] = stablehlo.reduce(%[[NUMBERS]] {{.*}} stablehlo.add across dimensions = [2]
// CHECK-NEXT:    %[[UP:.*]] = stablehlo.subtract %{{.*}}, %[[BY]]
// CHECK:         %[[OF:.*]] = stablehlo.reduce(%[[NUMBERS]] {{.*}} stablehlo.add across dimensions = [1]
// CHECK-NEXT:    %[[PLACE:.*]] = stablehlo.add %[[UP]], %[[OF]]
// CHECK:         %[[GOES:.*]] = stablehlo.compare EQ
// CHECK:         stablehlo.select %[[GOES]]
// CHECK:         %[[R:.*]] = stablehlo.reduce({{.*}} stablehlo.add across dimensions = [2]
// CHECK-NEXT:    return %[[R]]
// FEW-LABEL:   func.func @ascending(
// FEW:           "stablehlo.sort"
func.func @ascending(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %0 = "stablehlo.sort"(%x) <{dimension = 1 : i64}> ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %1 = stablehlo.compare LT, %a, %b, TOTALORDER : (tensor<f32>, tensor<f32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  }) : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return %0 : tensor<2x3xf32>
}

// -----

// Nobody uses what the largest is: two places are computed, of the second operand alone, along columns.
// CHECK-LABEL: func.func @two_of_a_column(
// CHECK-COUNT-2: stablehlo.transpose
// CHECK:         stablehlo.compare GT
// CHECK:         stablehlo.compare EQ, {{.*}} : (tensor<1x2x4xf32>, tensor<1x2x4xf32>)
// CHECK:         stablehlo.select {{.*}} : tensor<1x2x4xi1>, tensor<1x2x4xi32>
// CHECK-NOT:     stablehlo.select
// CHECK:         stablehlo.slice %{{.*}} [0:2, 0:1] : (tensor<2x1xi32>) -> tensor<2x1xi32>
func.func @two_of_a_column(%x: tensor<4x1xf32>, %y: tensor<4x1xi32>) -> tensor<2x1xi32> {
  %0:2 = "stablehlo.sort"(%x, %y) <{dimension = 0 : i64}> ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>, %c: tensor<i32>, %d: tensor<i32>):
    %1 = stablehlo.compare GT, %a, %b : (tensor<f32>, tensor<f32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  }) : (tensor<4x1xf32>, tensor<4x1xi32>) -> (tensor<4x1xf32>, tensor<4x1xi32>)
  %2 = stablehlo.slice %0#1 [1:3, 0:1] : (tensor<4x1xi32>) -> tensor<2x1xi32>
  return %2 : tensor<2x1xi32>
}

// -----

// Public: the parties sort it each for itself.
// CHECK-LABEL: func.func @public(
// CHECK:         "stablehlo.sort"
func.func @public(%x: tensor<3xf32> {ditto.visibility = "public"}) -> tensor<3xf32> {
  %0 = "stablehlo.sort"(%x) <{dimension = 0 : i64}> ({
  ^bb0(%a: tensor<f32>, %b: tensor<f32>):
    %1 = stablehlo.compare LT, %a, %b : (tensor<f32>, tensor<f32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  }) : (tensor<3xf32>) -> tensor<3xf32>
  return %0 : tensor<3xf32>
}
