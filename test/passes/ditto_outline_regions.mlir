// RUN: ditto-opt %s --split-input-file --ditto-outline-regions | filecheck %s

// A region per ring, a cast between them; @main holds nothing else.
// CHECK:       module attributes {ditto.stage = "outlined"}
// CHECK-LABEL: func.func @main(
// CHECK-NEXT:    %[[A:.*]] = call @r0(%arg0, %arg1)
// CHECK-NEXT:    %[[B:.*]] = "ditto.upcast"(%[[A]])
// CHECK-NEXT:    %[[C:.*]] = call @r1(%[[B]])
// CHECK-NEXT:    return %[[C]]
// CHECK-LABEL: func.func private @r0(
// CHECK-SAME:    %arg0: tensor<2x8xf32, #ditto.fxp<32, 10>> {ditto.visibility = "secret"}
// CHECK-SAME:    %arg1: tensor<8x4xf32, #ditto.fxp<32, 10>> {ditto.visibility = "public"})
// CHECK-SAME:    attributes {ditto.frac = 10 : i32, ditto.ring = 32 : i32}
// CHECK-NEXT:    %[[D:.*]] = stablehlo.dot_general %arg0, %arg1
// CHECK-NEXT:    return %[[D]]
// CHECK-LABEL: func.func private @r1(
// CHECK-SAME:    %arg0: tensor<2x4xf32, #ditto.fxp<64, 18>> {ditto.visibility = "secret"})
// CHECK-SAME:    attributes {ditto.frac = 18 : i32, ditto.ring = 64 : i32}
// CHECK-NEXT:    %[[E:.*]] = stablehlo.exponential %arg0
// CHECK-NEXT:    return %[[E]]
module attributes {ditto.stage = "cast"} {
  func.func @main(%x: tensor<2x8xf32, #ditto.fxp<32, 10>>, %w: tensor<8x4xf32, #ditto.fxp<32, 10>> {ditto.visibility = "public"}) -> tensor<2x4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] : (tensor<2x8xf32, #ditto.fxp<32, 10>>, tensor<8x4xf32, #ditto.fxp<32, 10>>) -> tensor<2x4xf32, #ditto.fxp<32, 10>>
    %1 = "ditto.upcast"(%0) : (tensor<2x4xf32, #ditto.fxp<32, 10>>) -> tensor<2x4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.exponential %1 : tensor<2x4xf32, #ditto.fxp<64, 18>>
    return %2 : tensor<2x4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// The program alternates between rings; it is scheduled anew, so that two regions and one batch of casts do.
// CHECK-LABEL: func.func @few_regions(
// CHECK-NEXT:    %[[A:.*]]:2 = call @r0(%arg0, %arg1)
// CHECK-NEXT:    %[[B:.*]] = "ditto.upcast"(%[[A]]#0)
// CHECK-NEXT:    %[[C:.*]] = "ditto.upcast"(%[[A]]#1)
// CHECK-NEXT:    %[[D:.*]]:2 = call @r1(%[[B]], %[[C]])
// CHECK-NEXT:    return %[[D]]#0, %[[D]]#1
// CHECK-LABEL: func.func private @r0(
// CHECK:         stablehlo.negate
// CHECK:         stablehlo.abs
// CHECK-LABEL: func.func private @r1(
// CHECK:         stablehlo.exponential
// CHECK:         stablehlo.tanh
module attributes {ditto.stage = "cast"} {
  func.func @few_regions(%x: tensor<4xf32, #ditto.fxp<32, 10>>, %y: tensor<4xf32, #ditto.fxp<32, 10>>) -> (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) {
    %0 = stablehlo.negate %x : tensor<4xf32, #ditto.fxp<32, 10>>
    %1 = "ditto.upcast"(%0) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.exponential %1 : tensor<4xf32, #ditto.fxp<64, 18>>
    %3 = stablehlo.abs %y : tensor<4xf32, #ditto.fxp<32, 10>>
    %4 = "ditto.upcast"(%3) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %5 = stablehlo.tanh %4 : tensor<4xf32, #ditto.fxp<64, 18>>
    return %2, %5 : tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// One constant, used in two regions, is in both instead of being passed.
// CHECK-LABEL: func.func @repeats_constants(
// CHECK:         call @r0(%arg0)
// CHECK-LABEL: func.func private @r0(
// CHECK:         stablehlo.constant dense<1.000000e+00>
// CHECK-LABEL: func.func private @r1(
// CHECK:         stablehlo.constant dense<1.000000e+00>
module attributes {ditto.stage = "cast"} {
  func.func @repeats_constants(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %one = stablehlo.constant dense<1.0> : tensor<4xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.add %x, %one : tensor<4xf32, #ditto.fxp<64, 18>>
    %1 = "ditto.downcast"(%0) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    %2 = stablehlo.negate %1 : tensor<4xf32, #ditto.fxp<32, 10>>
    %3 = "ditto.upcast"(%2) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %4 = stablehlo.multiply %3, %one : tensor<4xf32, #ditto.fxp<64, 18>>
    return %4 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Two scales in one ring are two engine runtimes, so two regions.
// CHECK-LABEL: func.func @region_per_scale(
// CHECK:         call @r0
// CHECK:         "ditto.rescale"
// CHECK:         call @r1
// CHECK:       func.func private @r0({{.*}} attributes {ditto.frac = 20 : i32, ditto.ring = 64 : i32}
// CHECK:       func.func private @r1({{.*}} attributes {ditto.frac = 18 : i32, ditto.ring = 64 : i32}
module attributes {ditto.stage = "cast"} {
  func.func @region_per_scale(%x: tensor<4xf32, #ditto.fxp<64, 20>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.negate %x : tensor<4xf32, #ditto.fxp<64, 20>>
    %1 = "ditto.rescale"(%0) : (tensor<4xf32, #ditto.fxp<64, 20>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.exponential %1 : tensor<4xf32, #ditto.fxp<64, 18>>
    return %2 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// A loop is whole in its region, with what it uses from outside.
// CHECK-LABEL: func.func @loop(
// CHECK-NEXT:    %[[R:.*]] = call @r0(%arg0, %arg1)
// CHECK-NEXT:    return %[[R]]
// CHECK-LABEL: func.func private @r0(
// CHECK:         stablehlo.while
// CHECK:           stablehlo.add %{{.*}}, %arg1
module attributes {ditto.stage = "cast"} {
  func.func @loop(%x: tensor<f32, #ditto.fxp<64, 18>>, %y: tensor<f32, #ditto.fxp<64, 18>>) -> tensor<f32, #ditto.fxp<64, 18>> {
    %i = stablehlo.constant dense<0> : tensor<i32, #ditto.int<64>>
    %0:2 = stablehlo.while(%n = %i, %s = %x) : tensor<i32, #ditto.int<64>>, tensor<f32, #ditto.fxp<64, 18>>
      cond {
        %c = stablehlo.constant dense<3> : tensor<i32, #ditto.int<64>>
        %1 = stablehlo.compare LT, %n, %c : (tensor<i32, #ditto.int<64>>, tensor<i32, #ditto.int<64>>) -> tensor<i1, #ditto.int<64>>
        stablehlo.return %1 : tensor<i1, #ditto.int<64>>
      } do {
        %1 = stablehlo.add %s, %y : tensor<f32, #ditto.fxp<64, 18>>
        stablehlo.return %n, %1 : tensor<i32, #ditto.int<64>>, tensor<f32, #ditto.fxp<64, 18>>
      }
    return %0#1 : tensor<f32, #ditto.fxp<64, 18>>
  }
}

// -----

// Nothing to compute, nothing to outline.
// CHECK-LABEL: func.func @identity(
// CHECK-NEXT:    return %arg0
// CHECK-NOT:   @r0
module attributes {ditto.stage = "cast"} {
  func.func @identity(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    return %x : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// A constant that is returned is not repeated: it must come from somewhere.
// CHECK-LABEL: func.func @returned_constant(
// CHECK-NEXT:    %[[R:.*]] = call @r0()
// CHECK-NEXT:    return %[[R]]
// CHECK-LABEL: func.func private @r0(
// CHECK-NEXT:    stablehlo.constant
module attributes {ditto.stage = "cast"} {
  func.func @returned_constant() -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.constant dense<1.0> : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Comparisons run outside of the engine like casts; those that are ready at once are next to each other.
// CHECK-LABEL: func.func @comparisons(
// CHECK-NEXT:    %[[A:.*]]:3 = call @r0(%arg0, %arg1)
// CHECK-NEXT:    %[[B:.*]] = "ditto.upcast"(%[[A]]#2)
// CHECK-NEXT:    %[[C:.*]]:2 = "ditto.less"(%[[A]]#0) {thresholds = array<i64: 0, 5>}
// CHECK-NEXT:    %[[D:.*]] = "ditto.less"(%[[A]]#1) {thresholds = array<i64: 0>}
// CHECK-NEXT:    %[[E:.*]] = call @r1(
// CHECK-NEXT:    return %[[E]], %[[B]]
// CHECK-LABEL: func.func private @r1(
// CHECK:         %{{.*}}: tensor<4xi1, #ditto.int<32>> {ditto.visibility = "secret"}
module attributes {ditto.stage = "cast"} {
  func.func @comparisons(%x: tensor<4xf32, #ditto.fxp<32, 10>>, %y: tensor<4xf32, #ditto.fxp<32, 10>>) -> (tensor<4xi1, #ditto.int<32>>, tensor<4xf32, #ditto.fxp<64, 18>>) {
    %0 = stablehlo.subtract %x, %y : tensor<4xf32, #ditto.fxp<32, 10>>
    %1, %2 = "ditto.less"(%0) {thresholds = array<i64: 0, 5>} : (tensor<4xf32, #ditto.fxp<32, 10>>) -> (tensor<4xi1, #ditto.int<32>>, tensor<4xi1, #ditto.int<32>>)
    %3 = stablehlo.add %x, %y : tensor<4xf32, #ditto.fxp<32, 10>>
    %4 = "ditto.less"(%3) {thresholds = array<i64: 0>} : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xi1, #ditto.int<32>>
    %5 = stablehlo.and %1, %2 : tensor<4xi1, #ditto.int<32>>
    %6 = stablehlo.and %5, %4 : tensor<4xi1, #ditto.int<32>>
    %7 = stablehlo.negate %3 : tensor<4xf32, #ditto.fxp<32, 10>>
    %8 = "ditto.upcast"(%7) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %6, %8 : tensor<4xi1, #ditto.int<32>>, tensor<4xf32, #ditto.fxp<64, 18>>
  }
}
