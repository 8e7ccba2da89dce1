// RUN: ditto-opt %s --ditto-apply-rules='policy=%S/Inputs/planned.toml' | filecheck %s
// RUN: ditto-opt %s --ditto-apply-rules='policy=ditto' | filecheck %s --check-prefix=PRESET
// RUN: ditto-opt %s --ditto-apply-rules='policy=%S/Inputs/planned_count.toml' 2>/dev/null | filecheck %s --check-prefix=COUNT
// RUN: ditto-opt %s --ditto-apply-rules='policy=%S/Inputs/planned_count.toml' 2>&1 >/dev/null | filecheck %s --check-prefix=OTHERS
// RUN: not ditto-opt %s --ditto-apply-rules='policy=nowhere.toml' 2>&1 | filecheck %s --check-prefix=POLICY

// POLICY: [ditto-apply-rules] 'builtin.module' op: cannot read policy file 'nowhere.toml'

// Of two rules that match, the later wins, key by key; ops are counted in their scope.
// CHECK-LABEL: func.func @main(
// CHECK-NEXT:    %[[A:.*]] = stablehlo.multiply %arg0, %arg0 {ditto.factors = array<i64: 8, 7>, ditto.fraction = 9 : i32}
// CHECK-NEXT:    %[[B:.*]] = stablehlo.multiply %[[A]], %[[A]] {ditto.factors = array<i64: 8, 7>, ditto.fraction = 5 : i32, ditto.spare = 3 : i32}
// CHECK-NEXT:    %[[C:.*]] = stablehlo.multiply %[[B]], %[[B]] {ditto.factors = array<i64: 8, 7>, ditto.fraction = 9 : i32}
// CHECK-NEXT:    %[[D:.*]] = stablehlo.multiply %[[C]], %[[C]] :
// CHECK-NEXT:    "ditto.oneshot"(%[[D]]) {error = 1.000000e-02 : f64, function = @tanh, high = 4.000000e+00 : f64, loose = 16 : i32, low = -4.000000e+00 : f64, otherwise = @tanh}

// A preset says nothing of numbers beside the engine.
// PRESET-LABEL: func.func @main(
// PRESET-NOT:     ditto.fraction

// Rules that count on two ops of a scope say nothing where there is one; other rules do.
// COUNT-LABEL: func.func @main(
// COUNT-NEXT:    %[[A:.*]] = stablehlo.multiply %arg0, %arg0 {ditto.fraction = 9 : i32, ditto.spare = 1 : i32}
// COUNT-NEXT:    %[[B:.*]] = stablehlo.multiply %[[A]], %[[A]] {ditto.spare = 1 : i32}
// COUNT-NEXT:    %[[C:.*]] = stablehlo.multiply %[[B]], %[[B]] {ditto.spare = 1 : i32}
// COUNT-NEXT:    %[[D:.*]] = stablehlo.multiply %[[C]], %[[C]] {ditto.spare = 1 : i32}
// COUNT-NEXT:    "ditto.oneshot"(%[[D]]) {error = 1.000000e-02 : f64

// OTHERS-NOT:  'layer0'
// OTHERS:      warning: [ditto-apply-rules] 'stablehlo.multiply' op: rule 'one of two' of policy 'planned_count' is for 2 such ops in a scope, found 1: the program, or its ranges, are not those that were planned; what it says of single ops of 'layer1' is left out. Plan again
// OTHERS:      what it says of single ops of 'head' is left out
// OTHERS-NOT:  warning
module attributes {ditto.stage = "cast"} {
  func.func @main(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.multiply %x, %x : tensor<4xf32, #ditto.fxp<64, 18>> loc("jit(f)/jit(main)/layer0/mul")
    %1 = stablehlo.multiply %0, %0 : tensor<4xf32, #ditto.fxp<64, 18>> loc("jit(f)/jit(main)/layer0/mul")
    %2 = stablehlo.multiply %1, %1 : tensor<4xf32, #ditto.fxp<64, 18>> loc("jit(f)/jit(main)/layer1/mul")
    %3 = stablehlo.multiply %2, %2 : tensor<4xf32, #ditto.fxp<64, 18>> loc("jit(f)/jit(main)/head/mul")
    %4 = "ditto.oneshot"(%3) {function = @tanh, otherwise = @tanh, error = 1.0e-3 : f64, low = -4.0 : f64, high = 4.0 : f64} : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %4 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
  func.func private @tanh(%x: tensor<4xf32>) -> tensor<4xf32> {
    %0 = stablehlo.tanh %x : tensor<4xf32>
    return %0 : tensor<4xf32>
  }
}
