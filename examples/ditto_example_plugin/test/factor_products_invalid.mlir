// RUN: ditto-opt %s --ditto-annotate='policy=uniform64' --example-factor-products --verify-diagnostics

// expected-error @+1 {{[example-factor-products] 'builtin.module' op: ditto-annotate has run already; run this pass before it}}
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.add %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
