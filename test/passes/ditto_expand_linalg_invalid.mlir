// RUN: ditto-opt %s --split-input-file --verify-diagnostics --ditto-expand-linalg='max-size=2'

func.func @large(%x: tensor<3x3xf32>) -> tensor<3x3xf32> {
  // expected-error @+1 {{a matrix of 3 rows or columns; factorizations are written out for up to 2 (max-size), and cost rounds for each column; use smaller blocks, or an iteration of matrix products}}
  %0 = "stablehlo.cholesky"(%x) <{lower = true}> : (tensor<3x3xf32>) -> tensor<3x3xf32>
  return %0 : tensor<3x3xf32>
}
