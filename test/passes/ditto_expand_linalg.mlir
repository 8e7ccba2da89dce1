// RUN: ditto-opt %s --split-input-file --ditto-expand-linalg | filecheck %s
// RUN: ditto-opt %s --split-input-file --ditto-expand-linalg='wide=true' | filecheck %s --check-prefix=WIDE

// One step of Newton's method after each inverse root.
// CHECK-LABEL: func.func @cholesky(
// CHECK:         stablehlo.slice %{{.*}} [0:1, 0:1, 0:1] : (tensor<1x2x2xf32>) -> tensor<1x1x1xf32>
// CHECK:         stablehlo.rsqrt %{{.*}} : tensor<1x1x1xf32>
// CHECK:         stablehlo.subtract
// CHECK:         stablehlo.rsqrt %{{.*}} : tensor<1x1x1xf32>
// CHECK-NOT:     stablehlo.custom_call
// CHECK:         return %{{.*}}, %{{.*}} : tensor<2x2xf32>, tensor<i32>
// WIDE-LABEL:  func.func @cholesky(
// WIDE:          stablehlo.rsqrt %{{.*}} {ditto.frac = 18 : i32, ditto.ring = 64 : i32}
func.func @cholesky(%x: tensor<2x2xf32>) -> (tensor<2x2xf32>, tensor<i32>) {
  %0:2 = stablehlo.custom_call @lapack_spotrf_ffi(%x) {mhlo.backend_config = {uplo = 76 : ui8}} : (tensor<2x2xf32>) -> (tensor<2x2xf32>, tensor<i32>)
  return %0#0, %0#1 : tensor<2x2xf32>, tensor<i32>
}

// -----

// The pivot is the first of the largest; its row is selected. The last column has no choice.
// CHECK-LABEL: func.func @lu(
// CHECK:         stablehlo.abs
// CHECK:         stablehlo.compare GE
// CHECK:         stablehlo.divide
// CHECK-NOT:     stablehlo.divide
// CHECK-NOT:     stablehlo.custom_call
func.func @lu(%x: tensor<2x2xf32>) -> (tensor<2x2xf32>, tensor<2xi32>, tensor<i32>) {
  %0:3 = stablehlo.custom_call @lapack_sgetrf_ffi(%x) : (tensor<2x2xf32>) -> (tensor<2x2xf32>, tensor<2xi32>, tensor<i32>)
  return %0#0, %0#1, %0#2 : tensor<2x2xf32>, tensor<2xi32>, tensor<i32>
}

// -----

// Of ones on the diagonal, nothing is divided by.
// CHECK-LABEL: func.func @unit(
// CHECK-NOT:     stablehlo.divide
// CHECK-NOT:     triangular_solve
func.func @unit(%a: tensor<2x2xf32>, %b: tensor<2x1xf32>) -> tensor<2x1xf32> {
  %0 = "stablehlo.triangular_solve"(%a, %b) <{left_side = true, lower = true, unit_diagonal = true, transpose_a = #stablehlo<transpose NO_TRANSPOSE>}> : (tensor<2x2xf32>, tensor<2x1xf32>) -> tensor<2x1xf32>
  return %0 : tensor<2x1xf32>
}

// -----

// Other calls are ditto-check-supported's to report.
// CHECK-LABEL: func.func @eigenvalues(
// CHECK:         stablehlo.custom_call @lapack_ssyevd_ffi
func.func @eigenvalues(%x: tensor<2x2xf32>) -> tensor<2xf32> {
  %0:3 = stablehlo.custom_call @lapack_ssyevd_ffi(%x) : (tensor<2x2xf32>) -> (tensor<2x2xf32>, tensor<2xf32>, tensor<i32>)
  return %0#1 : tensor<2xf32>
}
