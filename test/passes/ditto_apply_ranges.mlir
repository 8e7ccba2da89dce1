// RUN: ditto-opt %s --split-input-file --ditto-apply-ranges='ranges=%S/Inputs/ranges.json' | filecheck %s

// The n-th op of a name in a scope, jit(...) aside, has the n-th range of that name.
// CHECK-LABEL: func.func @by_scope_and_number(
// CHECK-SAME:    %arg0: tensor<4xf32> {ditto.max_abs = 3.500000e+00 : f64}
// CHECK-NEXT:    stablehlo.tanh %arg0 {ditto.max_abs = 7.500000e-01 : f64}
// CHECK-NEXT:    stablehlo.tanh %{{.*}} {ditto.max_abs = 5.000000e-01 : f64}
// CHECK-NEXT:    stablehlo.add %{{.*}} {ditto.max_abs = 1.250000e+00 : f64}
// CHECK-NEXT:    stablehlo.negate %{{[0-9]+}} : tensor<4xf32>
func.func @by_scope_and_number(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.tanh %x : tensor<4xf32> loc("jit(f)/jit(main)/layer0/mlp/tanh")
  %1 = stablehlo.tanh %0 : tensor<4xf32> loc("jit(f)/jit(main)/layer0/mlp/tanh")
  %2 = stablehlo.add %0, %1 : tensor<4xf32> loc("jit(f)/jit(main)/add")
  %3 = stablehlo.negate %2 : tensor<4xf32> loc("jit(f)/jit(main)/layer0/neg")
  return %3 : tensor<4xf32>
}

// -----

// With needed-only, a sum of two numbers up to 3 is known well enough; a product that stays below 4 is not,
// nor is an argument of a function.
// RUN: ditto-opt %s --split-input-file --ditto-apply-ranges='ranges=%S/Inputs/needed.json needed-only=true' | filecheck %s --check-prefix=NEEDED
// NEEDED-LABEL: func.func @needed(
// NEEDED-SAME:    {ditto.range = array<f64: -3.000000e+00, 3.000000e+00>}
// NEEDED:         stablehlo.add %arg0, %arg0 : tensor<4xf32>
// NEEDED:         stablehlo.multiply %arg0, %arg0 {ditto.range = array<f64: 0.000000e+00, 4.000000e+00>}
// NEEDED:         stablehlo.negate %arg0 {ditto.range = array<f64: -1.000000e+00, -5.000000e-01>}
func.func @needed(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %0 = stablehlo.add %x, %x : tensor<4xf32>
  %1 = stablehlo.multiply %x, %x : tensor<4xf32>
  %2 = stablehlo.negate %x : tensor<4xf32>
  %3 = stablehlo.log %2 : tensor<4xf32>
  return %0, %1, %3 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// -----

// What samples decided, an input may decide otherwise: integers, and what was always 0, stay unknown.
// RUN: ditto-opt %s --split-input-file --ditto-apply-ranges='ranges=%S/Inputs/decided.json' | filecheck %s --check-prefix=DECIDED
// RUN: ditto-opt %s --split-input-file --ditto-apply-ranges='ranges=%S/Inputs/decided.json needed-only=true margin=0.25' | filecheck %s --check-prefix=WIDER
// DECIDED-LABEL: func.func @decided(
// DECIDED-SAME:    %arg0: tensor<4xf32> {ditto.range = array<f64: 1.000000e+00, 1.000000e+00>}, %arg1: tensor<4xi32>)
// DECIDED:         stablehlo.multiply %arg0, %arg0 {ditto.range = array<f64: 1.000000e+00, 1.000000e+00>} : tensor<4xf32>
// DECIDED:         stablehlo.add %arg1, %arg1 : tensor<4xi32>
// DECIDED:         stablehlo.slice %arg0 [0:1] {ditto.range = array<f64: 2.500000e-01, 2.500000e-01>}
// DECIDED:         stablehlo.slice %arg0 [1:2] : (tensor<4xf32>)
// WIDER-LABEL:   func.func @decided(
// WIDER-SAME:      {ditto.range = array<f64: 8.000000e-01, 1.250000e+00>}
func.func @decided(%x: tensor<4xf32>, %i: tensor<4xi32>) -> (tensor<4xf32>, tensor<4xi32>, tensor<1xf32>, tensor<1xf32>) {
  %0 = stablehlo.multiply %x, %x : tensor<4xf32>
  %1 = stablehlo.add %i, %i : tensor<4xi32>
  %2 = stablehlo.slice %x [0:1] : (tensor<4xf32>) -> tensor<1xf32>
  %3 = stablehlo.slice %x [1:2] : (tensor<4xf32>) -> tensor<1xf32>
  return %0, %1, %2, %3 : tensor<4xf32>, tensor<4xi32>, tensor<1xf32>, tensor<1xf32>
}
