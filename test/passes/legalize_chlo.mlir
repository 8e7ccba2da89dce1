// RUN: ditto-opt %s --legalize-chlo | filecheck %s
// RUN: ditto-opt %s --legalize-chlo --mlir-print-debuginfo | filecheck %s --check-prefix=LOC

// CHECK-LABEL: func.func @expands(
// CHECK-NOT:     chlo.
// CHECK:         stablehlo.exponential
// CHECK-NOT:     chlo.
// CHECK:         return
func.func @expands(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = chlo.sinh %x : tensor<4xf32> -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// The engine runs these as they are.
// CHECK-LABEL: func.func @leaves_supported(
// CHECK-NEXT:    %[[A:.*]] = chlo.erf %arg0
// CHECK-NEXT:    %[[B:.*]] = chlo.erfc %[[A]]
// CHECK-NEXT:    return %[[B]]
func.func @leaves_supported(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = chlo.erf %x : tensor<4xf32> -> tensor<4xf32>
  %1 = chlo.erfc %0 : tensor<4xf32> -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// Several results, of two element types; uses are kept apart.
// CHECK-LABEL: func.func @several_results(
// CHECK:         stablehlo.sort
// CHECK-NOT:     chlo.
// CHECK:         return %{{.*}}, %{{.*}} : tensor<2xi32>, tensor<2xf32>
func.func @several_results(%x: tensor<4xf32>) -> (tensor<2xi32>, tensor<2xf32>) {
  %values, %indices = chlo.top_k(%x, k = 2) : tensor<4xf32> -> (tensor<2xf32>, tensor<2xi32>)
  return %indices, %values : tensor<2xi32>, tensor<2xf32>
}

// The same operand twice, and an op inside a region.
// CHECK-LABEL: func.func @in_region(
// CHECK:         stablehlo.if
// CHECK-NOT:     chlo.
// CHECK:         stablehlo.return
func.func @in_region(%p: tensor<i1>, %x: tensor<f32>) -> tensor<f32> {
  %0 = "stablehlo.if"(%p) ({
    %1 = chlo.cosh %x : tensor<f32> -> tensor<f32>
    stablehlo.return %1 : tensor<f32>
  }, {
    stablehlo.return %x : tensor<f32>
  }) : (tensor<i1>) -> tensor<f32>
  return %0 : tensor<f32>
}

// LOC-LABEL: func.func @keeps_location(
// LOC:         stablehlo.exponential %{{.*}} loc(#[[OP:.*]])
// LOC-DAG:   #[[LINE:.*]] = loc("model.py":3:1)
// LOC-DAG:   #[[OP]] = loc("jit(f)/layer0/sinh"(#[[LINE]]))
func.func @keeps_location(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = chlo.sinh %x : tensor<4xf32> -> tensor<4xf32> loc("jit(f)/layer0/sinh"("model.py":3:1))
  return %0 : tensor<4xf32>
}

// MLIR's own pass ends the process over a top_k of unknown shapes.
// CHECK-LABEL: func.func @leaves_what_cannot_be_shared(
// CHECK-NEXT:    chlo.sinh %arg0 : tensor<*xf32>
// CHECK-NEXT:    chlo.cosh %arg1 : tensor<4xcomplex<f32>>
// CHECK-NEXT:    chlo.top_k(%arg2, k = -1)
func.func @leaves_what_cannot_be_shared(%x: tensor<*xf32>, %y: tensor<4xcomplex<f32>>, %z: tensor<4xf32>) {
  %0 = chlo.sinh %x : tensor<*xf32> -> tensor<*xf32>
  %1 = chlo.cosh %y : tensor<4xcomplex<f32>> -> tensor<4xcomplex<f32>>
  %values, %indices = chlo.top_k(%z, k = -1) : tensor<4xf32> -> (tensor<?xf32>, tensor<?xi32>)
  return
}
