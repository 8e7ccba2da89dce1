// RUN: ditto-opt %s --split-input-file --inline-calls | filecheck %s
// RUN: ditto-opt %s --split-input-file --inline-calls --mlir-print-debuginfo | filecheck %s --check-prefix=LOC

// A private function is gone once its calls are inlined.
// CHECK-LABEL: func.func @main(
// CHECK-NEXT:    %[[R:.*]] = stablehlo.add %arg0, %arg0
// CHECK-NEXT:    return %[[R]]
// CHECK-NOT:   func.func
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @double(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @double(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.add %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// A callee that itself calls, called twice.
// CHECK-LABEL: func.func @nested(
// CHECK-NEXT:    %[[A:.*]] = stablehlo.add %arg0, %arg0
// CHECK-NEXT:    %[[B:.*]] = stablehlo.negate %[[A]]
// CHECK-NEXT:    %[[C:.*]] = stablehlo.add %[[B]], %[[B]]
// CHECK-NEXT:    %[[D:.*]] = stablehlo.negate %[[C]]
// CHECK-NEXT:    return %[[D]]
func.func @nested(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @outer(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = call @outer(%0) : (tensor<4xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}
func.func private @outer(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @inner(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = stablehlo.negate %0 : tensor<4xf32>
  return %1 : tensor<4xf32>
}
func.func private @inner(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.add %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Several results in another order, one of them an argument.
// CHECK-LABEL: func.func @several_results(
// CHECK-NEXT:    %[[N:.*]] = stablehlo.negate %arg1
// CHECK-NEXT:    return %[[N]], %arg0
func.func @several_results(%x: tensor<4xf32>, %y: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0:2 = call @swap(%x, %y) : (tensor<4xf32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
  return %0#0, %0#1 : tensor<4xf32>, tensor<4xf32>
}
func.func private @swap(%x: tensor<4xf32>, %y: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = stablehlo.negate %y : tensor<4xf32>
  return %0, %x : tensor<4xf32>, tensor<4xf32>
}

// -----

// A call inside a loop body; the callee has a region of its own.
// CHECK-LABEL: func.func @in_region(
// CHECK:         stablehlo.while
// CHECK:         do {
// CHECK:           stablehlo.reduce(
// CHECK-SAME:        applies stablehlo.add
// CHECK-NOT:     call
func.func @in_region(%x: tensor<4xf32>, %i: tensor<i32>) -> tensor<f32> {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %0:2 = stablehlo.while(%n = %i, %s = %zero) : tensor<i32>, tensor<f32>
    cond {
      %c = stablehlo.constant dense<3> : tensor<i32>
      %1 = stablehlo.compare LT, %n, %c : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %1 : tensor<i1>
    } do {
      %1 = func.call @sum(%x) : (tensor<4xf32>) -> tensor<f32>
      stablehlo.return %n, %1 : tensor<i32>, tensor<f32>
    }
  return %0#1 : tensor<f32>
}
func.func private @sum(%x: tensor<4xf32>) -> tensor<f32> {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %0 = stablehlo.reduce(%x init: %zero) applies stablehlo.add across dimensions = [0]
    : (tensor<4xf32>, tensor<f32>) -> tensor<f32>
  return %0 : tensor<f32>
}

// -----

// A public function is somebody else's to call, so it stays.
// CHECK-LABEL: func.func @calls_public(
// CHECK-NEXT:    %[[R:.*]] = stablehlo.negate
// CHECK-NEXT:    return %[[R]]
// CHECK:       func.func public @negate(
func.func @calls_public(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @negate(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func public @negate(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.negate %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Beside @main nobody calls it: a program is its entry function.
// CHECK-LABEL: func.func @main(
// CHECK-NEXT:    %[[R:.*]] = stablehlo.abs
// CHECK-NEXT:    return %[[R]]
// CHECK-NOT:   func.func
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @abs(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func public @abs(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.abs %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func public @called_by_nobody(%x: tensor<3xf32>) -> tensor<3xf32> {
  return %x : tensor<3xf32>
}

// -----

// CHECK-LABEL: func.func @main(
// CHECK-NEXT:    return %arg0
func.func private @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// Used otherwise than by a call, a function stays.
// CHECK-LABEL: func.func @uses_functions_as_values(
// CHECK-NEXT:    constant @value
// CHECK:       func.func private @value(
func.func @uses_functions_as_values(%x: tensor<4xf32>) -> tensor<4xf32> {
  %f = func.constant @value : (tensor<4xf32>) -> tensor<4xf32>
  %0 = func.call_indirect %f(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @value(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// What an unknown op with a region uses, MLIR cannot tell.
// CHECK-LABEL: func.func @unknown_region(
// CHECK-NEXT:    "other.op"(%arg0)
func.func @unknown_region(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "other.op"(%x) ({}) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// JAX 0.4 names a callee's ops by the first call site: the second call replaces that scope by its own.
// LOC-LABEL: func.func public @absolute_scopes(
// LOC:         stablehlo.negate %{{.*}} loc(#[[FIRST:.*]])
// LOC:         stablehlo.negate %{{.*}} loc(#[[SECOND:.*]])
// LOC-DAG:   #[[LINE:.*]] = loc("model.py":7:3)
// LOC-DAG:   #[[FIRST]] = loc("jit(f)/layer0/jit(act)/neg"(#[[LINE]]))
// LOC-DAG:   #[[SECOND]] = loc("jit(f)/layer1/jit(act)/neg"(#[[FIRST]]))
func.func public @absolute_scopes(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @act(%x) : (tensor<4xf32>) -> tensor<4xf32> loc("jit(f)/layer0/pjit"("model.py":3:1))
  %1 = call @act(%0) : (tensor<4xf32>) -> tensor<4xf32> loc("jit(f)/layer1/pjit"("model.py":4:1))
  return %1 : tensor<4xf32>
}
func.func private @act(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.negate %x : tensor<4xf32> loc("jit(f)/layer0/jit(act)/neg"("model.py":7:3))
  return %0 : tensor<4xf32>
} loc("jit(f)/layer0/pjit"("model.py":3:1))

// -----

// Newer JAX names them relative to the call, and a helper of its own has no line: the call's is used.
// LOC-LABEL: func.func public @relative_scopes(
// LOC:         stablehlo.negate %{{.*}} loc(#[[OP:.*]])
// LOC-DAG:   #[[LINE:.*]] = loc("model.py":3:1)
// LOC-DAG:   #[[CALL:.*]] = loc("jit(f)/layer0/jit(relu)"(#[[LINE]]))
// LOC-DAG:   #[[OP]] = loc("jit(f)/layer0/jit(relu)/neg"(#[[CALL]]))
func.func public @relative_scopes(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @relu(%x) : (tensor<4xf32>) -> tensor<4xf32> loc("jit(f)/layer0/jit(relu)"("model.py":3:1))
  return %0 : tensor<4xf32>
}
func.func private @relu(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.negate %x : tensor<4xf32> loc("neg")
  return %0 : tensor<4xf32>
} loc("jit:"("jit"))
