// RUN: ditto-opt %s --split-input-file --pass-pipeline="builtin.module(ditto-annotate{policy=uniform64},ditto-insert-casts,ditto-outline-regions,ditto-to-pphlo)" | filecheck %s

// The counter is public, the state secret.
// CHECK-LABEL: func.func @while(
// CHECK:         "pphlo.while"(%{{.*}}, %arg0) ({
// CHECK-NEXT:    ^bb0(%[[N:.*]]: tensor<i64>, %{{.*}}: tensor<!pphlo.secret<f32>>):
// CHECK:           %[[C:.*]] = "pphlo.less"(%[[N]], %{{.*}}) : (tensor<i64>, tensor<i64>) -> tensor<i1>
// CHECK-NEXT:      "pphlo.return"(%[[C]])
// CHECK:         (tensor<i64>, tensor<!pphlo.secret<f32>>) -> (tensor<i64>, tensor<!pphlo.secret<f32>>)
func.func @while(%x: tensor<f32>) -> tensor<f32> {
  %i = stablehlo.constant dense<0> : tensor<i32>
  %0:2 = stablehlo.while(%n = %i, %s = %x) : tensor<i32>, tensor<f32>
    cond {
      %c = stablehlo.constant dense<3> : tensor<i32>
      %1 = stablehlo.compare LT, %n, %c : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %1 : tensor<i1>
    } do {
      %one = stablehlo.constant dense<1> : tensor<i32>
      %1 = stablehlo.add %n, %one : tensor<i32>
      %2 = stablehlo.add %s, %s : tensor<f32>
      stablehlo.return %1, %2 : tensor<i32>, tensor<f32>
    }
  return %0#1 : tensor<f32>
}

// -----

// A public condition chooses which side runs.
// CHECK-LABEL: func.func @public_if(
// CHECK:         "pphlo.if"(%arg0) ({
// CHECK:           "pphlo.negate"
// CHECK:         }, {
// CHECK:           "pphlo.abs"
func.func @public_if(%p: tensor<i1> {ditto.visibility = "public"}, %x: tensor<f32>) -> tensor<f32> {
  %0 = "stablehlo.if"(%p) ({
    %1 = stablehlo.negate %x : tensor<f32>
    stablehlo.return %1 : tensor<f32>
  }, {
    %1 = stablehlo.abs %x : tensor<f32>
    stablehlo.return %1 : tensor<f32>
  }) : (tensor<i1>) -> tensor<f32>
  return %0 : tensor<f32>
}

// -----

// On a secret condition both sides run, and a selection takes one.
// CHECK-LABEL: func.func @secret_if(
// CHECK-NOT:     pphlo.if
// CHECK:         %[[A:.*]] = "pphlo.negate"
// CHECK:         %[[B:.*]] = "pphlo.abs"
// CHECK:         "pphlo.select"(%{{.*}}, %[[A]], %[[B]])
func.func @secret_if(%p: tensor<i1>, %x: tensor<f32>) -> tensor<f32> {
  %0 = "stablehlo.if"(%p) ({
    %1 = stablehlo.negate %x : tensor<f32>
    stablehlo.return %1 : tensor<f32>
  }, {
    %1 = stablehlo.abs %x : tensor<f32>
    stablehlo.return %1 : tensor<f32>
  }) : (tensor<i1>) -> tensor<f32>
  return %0 : tensor<f32>
}

// -----

// The engine has no case: the index is compared with each number but the last.
// CHECK-LABEL: func.func @public_case(
// CHECK:         %[[C0:.*]] = "pphlo.equal"(%arg0,
// CHECK:         "pphlo.if"(%[[C0]])
// CHECK:           "pphlo.negate"
// CHECK:           %[[C1:.*]] = "pphlo.equal"(%arg0,
// CHECK:           "pphlo.if"(%[[C1]])
// CHECK:             "pphlo.abs"
// CHECK:             "pphlo.sign"
func.func @public_case(%i: tensor<i32> {ditto.visibility = "public"}, %x: tensor<f32>) -> tensor<f32> {
  %0 = "stablehlo.case"(%i) ({
    %1 = stablehlo.negate %x : tensor<f32>
    stablehlo.return %1 : tensor<f32>
  }, {
    %1 = stablehlo.abs %x : tensor<f32>
    stablehlo.return %1 : tensor<f32>
  }, {
    %1 = stablehlo.sign %x : tensor<f32>
    stablehlo.return %1 : tensor<f32>
  }) : (tensor<i32>) -> tensor<f32>
  return %0 : tensor<f32>
}
