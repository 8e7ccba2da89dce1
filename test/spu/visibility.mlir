// RUN: ditto-opt %s --split-input-file --pass-pipeline="builtin.module(ditto-annotate{policy=uniform64},ditto-insert-casts,ditto-outline-regions,ditto-to-pphlo)" | filecheck %s

// A binary op's result is secret if one operand is; regions hand in public arguments as such.
// CHECK-LABEL: func.func @binary_pp(
// CHECK:       func.func private @r0(%arg0: tensor<4xf32>, %arg1: tensor<4xf32>)
// CHECK:         "pphlo.add"{{.*}} : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
func.func @binary_pp(%x: tensor<4xf32> {ditto.visibility = "public"}, %y: tensor<4xf32> {ditto.visibility = "public"}) -> tensor<4xf32> {
  %0 = stablehlo.add %x, %y : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// CHECK-LABEL: func.func @binary_ps(
// CHECK:         "pphlo.add"{{.*}} : (tensor<4xf32>, tensor<4x!pphlo.secret<f32>>) -> tensor<4x!pphlo.secret<f32>>
func.func @binary_ps(%x: tensor<4xf32> {ditto.visibility = "public"}, %y: tensor<4xf32> {ditto.visibility = "secret"}) -> tensor<4xf32> {
  %0 = stablehlo.add %x, %y : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// CHECK-LABEL: func.func @binary_sp(
// CHECK:         "pphlo.add"{{.*}} : (tensor<4x!pphlo.secret<f32>>, tensor<4xf32>) -> tensor<4x!pphlo.secret<f32>>
func.func @binary_sp(%x: tensor<4xf32> {ditto.visibility = "secret"}, %y: tensor<4xf32> {ditto.visibility = "public"}) -> tensor<4xf32> {
  %0 = stablehlo.add %x, %y : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// An argument that does not say who sees it is secret.
// CHECK-LABEL: func.func @binary_ss(
// CHECK:         "pphlo.add"{{.*}} : (tensor<4x!pphlo.secret<f32>>, tensor<4x!pphlo.secret<f32>>) -> tensor<4x!pphlo.secret<f32>>
func.func @binary_ss(%x: tensor<4xf32>, %y: tensor<4xf32> {ditto.visibility = "secret"}) -> tensor<4xf32> {
  %0 = stablehlo.add %x, %y : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Concatenated parts are all secret or all public.
// CHECK-LABEL: func.func @concatenate_ps(
// CHECK:         %[[S:.*]] = "pphlo.convert"(%arg0) : (tensor<4xf32>) -> tensor<4x!pphlo.secret<f32>>
// CHECK:         "pphlo.concatenate"(%[[S]], %arg1)
func.func @concatenate_ps(%x: tensor<4xf32> {ditto.visibility = "public"}, %y: tensor<4xf32>) -> tensor<8xf32> {
  %0 = stablehlo.concatenate %x, %y, dim = 0 : (tensor<4xf32>, tensor<4xf32>) -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

// -----

// A branch chosen by a secret gives a secret, even of public values.
// CHECK-LABEL: func.func @branch_chosen_secretly(
// CHECK:       func.func private @r0({{.*}}) -> tensor<!pphlo.secret<f32>>
func.func @branch_chosen_secretly(%p: tensor<i1>) -> tensor<f32> {
  %a = stablehlo.constant dense<1.0> : tensor<f32>
  %b = stablehlo.constant dense<2.0> : tensor<f32>
  %0 = "stablehlo.if"(%p) ({
    stablehlo.return %a : tensor<f32>
  }, {
    stablehlo.return %b : tensor<f32>
  }) : (tensor<i1>) -> tensor<f32>
  return %0 : tensor<f32>
}
