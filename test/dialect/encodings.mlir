// RUN: ditto-opt %s --split-input-file | filecheck %s
// RUN: ditto-opt %s --split-input-file | ditto-opt --split-input-file | filecheck %s
// RUN: ditto-opt %s --split-input-file --canonicalize --cse | filecheck %s --check-prefix=MLIR

// Encodings, casts and attributes print as they are read.
// CHECK-LABEL: func.func @round_trip(
// CHECK-SAME:    %arg0: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.visibility = "secret"}
// CHECK-SAME:    %arg1: tensor<4xi32, #ditto.int<32>> {ditto.input = 1 : i32, ditto.visibility = "public"}
// CHECK-NEXT:    %[[D:.*]] = "ditto.downcast"(%arg0) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
// CHECK-NEXT:    %[[U:.*]] = "ditto.upcast"(%[[D]]) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<128, 40>>
// CHECK-NEXT:    %[[R:.*]] = "ditto.rescale"(%[[U]]) : (tensor<4xf32, #ditto.fxp<128, 40>>) -> tensor<4xf32, #ditto.fxp<128, 20>>
// CHECK-NEXT:    stablehlo.add %[[R]], %[[R]] {ditto.frac = 20 : i32, ditto.ring = 128 : i32} : tensor<4xf32, #ditto.fxp<128, 20>>
func.func @round_trip(%x: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.visibility = "secret"},
                      %i: tensor<4xi32, #ditto.int<32>> {ditto.visibility = "public", ditto.input = 1 : i32}) -> tensor<4xf32, #ditto.fxp<128, 20>> {
  %0 = "ditto.downcast"(%x) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
  %1 = "ditto.upcast"(%0) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<128, 40>>
  %2 = "ditto.rescale"(%1) : (tensor<4xf32, #ditto.fxp<128, 40>>) -> tensor<4xf32, #ditto.fxp<128, 20>>
  %3 = stablehlo.add %2, %2 {ditto.ring = 128 : i32, ditto.frac = 20 : i32} : tensor<4xf32, #ditto.fxp<128, 20>>
  return %3 : tensor<4xf32, #ditto.fxp<128, 20>>
}

// -----

// MLIR's own passes merge constants of one encoding, and keep those of two apart.
// MLIR-LABEL: func.func @constants_by_encoding(
// MLIR-DAG:     %[[A:.*]] = stablehlo.constant dense<1.000000e+00> : tensor<4xf32, #ditto.fxp<64, 18>>
// MLIR-DAG:     %[[B:.*]] = stablehlo.constant dense<1.000000e+00> : tensor<4xf32, #ditto.fxp<32, 10>>
// MLIR:         return %[[A]], %[[A]], %[[B]]
func.func @constants_by_encoding() -> (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<32, 10>>) {
  %0 = stablehlo.constant dense<1.0> : tensor<4xf32, #ditto.fxp<64, 18>>
  %1 = stablehlo.constant dense<1.0> : tensor<4xf32, #ditto.fxp<64, 18>>
  %2 = stablehlo.constant dense<1.0> : tensor<4xf32, #ditto.fxp<32, 10>>
  return %0, %1, %2 : tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<32, 10>>
}

// -----

// Each dtype with each kind of encoding that it may have.
// CHECK-LABEL: func.func @extremes(
// CHECK-SAME:    tensor<4xf16, #ditto.fxp<32, 0>>, %arg1: tensor<4xbf16, #ditto.fxp<32, 30>>
// CHECK-SAME:    tensor<4xf64, #ditto.fxp<128, 126>>, %arg3: tensor<4xi1, #ditto.int<128>>, %arg4: tensor<4xui64, #ditto.int<32>>
func.func @extremes(%a: tensor<4xf16, #ditto.fxp<32, 0>>, %b: tensor<4xbf16, #ditto.fxp<32, 30>>,
                    %c: tensor<4xf64, #ditto.fxp<128, 126>>, %d: tensor<4xi1, #ditto.int<128>>, %e: tensor<4xui64, #ditto.int<32>>) {
  return
}

// -----

// The comparator of a sort has no encodings, annotated or not.
// CHECK-LABEL: func.func @sort_comparator(
module attributes {ditto.stage = "cast"} {
  func.func @sort_comparator(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = "stablehlo.sort"(%x) <{dimension = 0 : i64}> ({
    ^bb0(%a: tensor<f32>, %b: tensor<f32>):
      %1 = stablehlo.compare LT, %a, %b : (tensor<f32>, tensor<f32>) -> tensor<i1>
      stablehlo.return %1 : tensor<i1>
    }) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}
