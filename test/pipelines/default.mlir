// RUN: ditto-opt %s --ditto-precision-pipeline=%S/Inputs/narrow_linear.toml | filecheck %s --check-prefix=PRECISION
// RUN: ditto-opt %s --ditto-pipeline=%S/Inputs/narrow_linear.toml | filecheck %s --check-prefix=ALL
// RUN: ditto-opt %s --ditto-pipeline | filecheck %s --check-prefix=DEFAULT
// RUN: ditto-opt %s --ditto-pipeline=uniform64 | filecheck %s --check-prefix=U64
// RUN: ditto-opt %s --ditto-pipeline=dtype -o /dev/null --mlir-print-ir-after-all 2>&1 | filecheck %s --check-prefix=ORDER

// A layer and a softmax as JAX exports them. The product and the maximum are in ring 32, the exponential and the
// division in ring 64; both inputs are supplied in ring 32.
// PRECISION:       module {{.*}}ditto.stage = "cast"
// PRECISION-LABEL: func.func {{.*}}@main(
// PRECISION-SAME:    %arg0: tensor<2x8xf32, #ditto.fxp<32, 10>> {ditto.input = 0 : i32}
// PRECISION-SAME:    %arg1: tensor<8x4xf32, #ditto.fxp<32, 10>> {ditto.input = 1 : i32}
// PRECISION-NOT:     call
// PRECISION:         %[[D:.*]] = stablehlo.dot_general {{.*}} -> tensor<2x4xf32, #ditto.fxp<32, 10>>
// PRECISION:         stablehlo.reduce(%[[D]] init: {{.*}} -> tensor<2xf32, #ditto.fxp<32, 10>>
// PRECISION:         %[[S:.*]] = stablehlo.subtract %[[D]], %{{.*}} : tensor<2x4xf32, #ditto.fxp<32, 10>>
// PRECISION-NEXT:    %[[U:.*]] = "ditto.upcast"(%[[S]])
// PRECISION:         stablehlo.maximum %[[U]], %{{.*}} : tensor<2x4xf32, #ditto.fxp<64, 18>>
// PRECISION-NOT:     "ditto.
// PRECISION:         stablehlo.divide {{.*}} : tensor<2x4xf32, #ditto.fxp<64, 18>>

// In main only calls and casts; the regions are pphlo, one in each ring.
// ALL:             module {{.*}}ditto.stage = "lowered"
// ALL-LABEL:       func.func {{.*}}@main(
// ALL-NEXT:          %[[A:.*]] = "ditto.call"(%arg0, %arg1) {callee = @r0}
// ALL-NEXT:          %[[B:.*]] = "ditto.upcast"(%[[A]])
// ALL-NEXT:          %[[C:.*]] = "ditto.call"(%[[B]]) {callee = @r1}
// ALL-NEXT:          return %[[C]]
// ALL-LABEL:       func.func private @r0(
// ALL-SAME:          attributes {ditto.frac = 10 : i32, ditto.ring = 32 : i32}
// ALL:               "pphlo.dot"
// ALL:               "pphlo.maximum"
// ALL-LABEL:       func.func private @r1(
// ALL-SAME:          attributes {ditto.frac = 18 : i32, ditto.ring = 64 : i32}
// ALL:               "pphlo.divide"

// The preset of the same idea runs all of it beside the engine: a product that truncates, a tournament, and exp and
// 1/sum in one go. The product is one bit wider than its numbers, for the tournament needs their differences.
// DEFAULT-LABEL:   func.func {{.*}}@main(
// DEFAULT-NOT:       ditto.call
// DEFAULT:           stablehlo.dot_general {{.*}}ditto.beside} : ({{.*}}#ditto.fxp<34, 10>>) -> tensor<2x4xf32, #ditto.fxp<24, 10>>
// DEFAULT:           "ditto.less"
// DEFAULT:           "ditto.oneshot"({{.*}}of = "exp"
// DEFAULT:           "ditto.oneshot"({{.*}}of = "reciprocal"
// DEFAULT-NOT:       ditto.call
// DEFAULT:           return

// One ring, so one region and no cast.
// U64-LABEL:       func.func {{.*}}@main(
// U64-NEXT:          %[[A:.*]] = "ditto.call"(%arg0, %arg1) {callee = @r0}
// U64-NEXT:          return %[[A]]
// U64:             func.func private @r0(
// U64-NOT:         @r1

// ORDER:           IR Dump After inline-calls
// ORDER:           IR Dump After legalize-chlo
// ORDER:           IR Dump After ditto-check-supported
// ORDER:           IR Dump After canonicalize
// ORDER:           IR Dump After cse
// ORDER:           IR Dump After ditto-annotate{policy=dtype}
// ORDER:           IR Dump After ditto-insert-casts
// ORDER:           IR Dump After ditto-optimize-casts
// ORDER:           IR Dump After cse
// ORDER:           IR Dump After ditto-check-domains
// ORDER:           IR Dump After ditto-expand-functions
// ORDER:           IR Dump After cse
// ORDER:           IR Dump After ditto-outline-regions
// ORDER:           IR Dump After ditto-to-pphlo
module @jit_layer {
  func.func public @main(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>) -> tensor<2x4xf32> {
    %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>
    %1 = call @softmax(%0) : (tensor<2x4xf32>) -> tensor<2x4xf32>
    return %1 : tensor<2x4xf32>
  }
  func.func private @softmax(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
    %lowest = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %zero = stablehlo.constant dense<0.0> : tensor<f32>
    %0 = stablehlo.reduce(%x init: %lowest) applies stablehlo.maximum across dimensions = [1] : (tensor<2x4xf32>, tensor<f32>) -> tensor<2xf32>
    %1 = stablehlo.broadcast_in_dim %0, dims = [0] : (tensor<2xf32>) -> tensor<2x4xf32>
    %2 = stablehlo.subtract %x, %1 : tensor<2x4xf32>
    %3 = stablehlo.exponential %2 : tensor<2x4xf32>
    %4 = stablehlo.reduce(%3 init: %zero) applies stablehlo.add across dimensions = [1] : (tensor<2x4xf32>, tensor<f32>) -> tensor<2xf32>
    %5 = stablehlo.broadcast_in_dim %4, dims = [0] : (tensor<2xf32>) -> tensor<2x4xf32>
    %6 = stablehlo.divide %3, %5 : tensor<2x4xf32>
    return %6 : tensor<2x4xf32>
  }
}
