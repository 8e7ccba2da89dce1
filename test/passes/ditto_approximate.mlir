// RUN: ditto-opt %s --split-input-file --ditto-approximate='gelu=quad silu=quartic tanh=cubic logistic=sextic softmax=ditto layer-norm=rsqrt division=reciprocal argmax=tournament embedding=one-hot' | filecheck %s
// RUN: ditto-opt %s --split-input-file --ditto-approximate='softmax=narrow exp=taylor4 embedding=digits' | filecheck %s --check-prefix=NARROW
// RUN: ditto-opt %s --split-input-file --ditto-approximate='policy=%S/Inputs/forms.toml' | filecheck %s --check-prefix=SCOPES
// RUN: ditto-opt %s --split-input-file --ditto-approximate='adaptive-step=wide' | filecheck %s --check-prefix=STEP

// x/2 (1 + erf(x/sqrt 2)) -> ((x + 1)^2 + 3) / 8
// CHECK-LABEL: func.func @gelu(
// CHECK:         %[[S:.*]] = stablehlo.add %arg0, %{{.*}}
// CHECK:         %[[Q:.*]] = stablehlo.multiply %[[S]], %[[S]]
// CHECK:         %[[T:.*]] = stablehlo.constant dense<3.000000e+00>
// CHECK:         %[[A:.*]] = stablehlo.add %[[Q]], %[[T]]
// CHECK:         %[[E:.*]] = stablehlo.constant dense<1.250000e-01>
// CHECK:         %[[R:.*]] = stablehlo.multiply %[[A]], %[[E]]
// CHECK-NEXT:    return %[[R]]
func.func @gelu(%x: tensor<4xf32>) -> tensor<4xf32> {
  %half = stablehlo.constant dense<0.5> : tensor<4xf32>
  %one = stablehlo.constant dense<1.0> : tensor<4xf32>
  %root = stablehlo.constant dense<0.707106769> : tensor<4xf32>
  %0 = stablehlo.multiply %x, %root : tensor<4xf32>
  %1 = chlo.erf %0 : tensor<4xf32> -> tensor<4xf32>
  %2 = stablehlo.add %1, %one : tensor<4xf32>
  %3 = stablehlo.multiply %x, %half : tensor<4xf32>
  %4 = stablehlo.multiply %3, %2 : tensor<4xf32>
  return %4 : tensor<4xf32>
}

// -----

// erf(x/1.5) makes another function.
// CHECK-LABEL: func.func @gelu_of_another_width(
// CHECK:         chlo.erf
func.func @gelu_of_another_width(%x: tensor<4xf32>) -> tensor<4xf32> {
  %half = stablehlo.constant dense<0.5> : tensor<4xf32>
  %one = stablehlo.constant dense<1.0> : tensor<4xf32>
  %width = stablehlo.constant dense<1.5> : tensor<4xf32>
  %0 = stablehlo.divide %x, %width : tensor<4xf32>
  %1 = chlo.erf %0 : tensor<4xf32> -> tensor<4xf32>
  %2 = stablehlo.add %1, %one : tensor<4xf32>
  %3 = stablehlo.multiply %x, %half : tensor<4xf32>
  %4 = stablehlo.multiply %3, %2 : tensor<4xf32>
  return %4 : tensor<4xf32>
}

// -----

// The maximum and the clip in ring 32, everything else in ring 64, one reciprocal per row. A form says how
// large its values get. The other form computes weights in ring 32 too, with an exp of the user's choice, and
// finds the reciprocal of a sum of up to 8 weights by comparing it with 2, 4 and 8.
// CHECK-LABEL: func.func @softmax(
// CHECK:         %[[M:.*]] = stablehlo.reduce(%arg0 {{.*}} stablehlo.maximum {{.*}} {ditto.frac = 10 : i32, ditto.ring = 32 : i32}
// CHECK:         %[[B:.*]] = stablehlo.broadcast_in_dim %[[M]], dims = [0]
// CHECK:         %[[D:.*]] = stablehlo.subtract %arg0, %[[B]] {ditto.frac = 10 : i32, ditto.ring = 32 : i32}
// CHECK:         %[[N:.*]] = stablehlo.compare GT, %[[D]], %{{.*}}, FLOAT {ditto.frac = 10 : i32, ditto.ring = 32 : i32}
// CHECK:         stablehlo.select %[[N]], %[[D]], %{{.*}} {ditto.frac = 10 : i32, ditto.max_abs = 1.400000e+01 : f64, ditto.ring = 32 : i32}
// CHECK-NOT:     stablehlo.exponential
// CHECK:         %[[W:.*]] = stablehlo.multiply {{.*}} {ditto.frac = 18 : i32, ditto.max_abs = 1.010000e+00 : f64, ditto.ring = 64 : i32}
// CHECK:         %[[Z:.*]] = stablehlo.reduce(
// CHECK:         %[[I:.*]] = stablehlo.divide %{{.*}}, %[[Z]] {ditto.frac = 18 : i32, ditto.ring = 64 : i32} : tensor<2xf32>
// CHECK:         %[[P:.*]] = stablehlo.broadcast_in_dim %[[I]], dims = [0]
// CHECK:         stablehlo.multiply %{{.*}}, %[[P]]
// NARROW-LABEL: func.func @softmax(
// NARROW-COUNT-4: stablehlo.multiply %{{.*}} {ditto.frac = 14 : i32, ditto.max_abs = 1.010000e+00 : f64, ditto.ring = 32 : i32} : tensor<2x8xf32>
// NARROW:        stablehlo.constant dense<[2.000000e+00, 4.000000e+00, 8.000000e+00]> : tensor<3xf32>
// NARROW:        stablehlo.compare LT, %{{.*}}, %{{.*}}, FLOAT {ditto.frac = 18 : i32, ditto.ring = 64 : i32} : (tensor<2x3xf32>, tensor<2x3xf32>)
// NARROW-NOT:    stablehlo.divide
// NARROW:        stablehlo.multiply {{.*}} {ditto.frac = 18 : i32, ditto.max_abs = 1.010000e+00 : f64, ditto.ring = 64 : i32} : tensor<2xf32>
func.func @softmax(%x: tensor<2x8xf32>) -> tensor<2x8xf32> {
  %low = stablehlo.constant dense<0xFF800000> : tensor<f32>
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %0 = stablehlo.reduce(%x init: %low) applies stablehlo.maximum across dimensions = [1] : (tensor<2x8xf32>, tensor<f32>) -> tensor<2xf32>
  %1 = stablehlo.broadcast_in_dim %0, dims = [0] : (tensor<2xf32>) -> tensor<2x8xf32>
  %2 = stablehlo.subtract %x, %1 : tensor<2x8xf32>
  %3 = stablehlo.exponential %2 : tensor<2x8xf32>
  %4 = stablehlo.reduce(%3 init: %zero) applies stablehlo.add across dimensions = [1] : (tensor<2x8xf32>, tensor<f32>) -> tensor<2xf32>
  %5 = stablehlo.broadcast_in_dim %4, dims = [0] : (tensor<2xf32>) -> tensor<2x8xf32>
  %6 = stablehlo.divide %3, %5 : tensor<2x8xf32>
  return %6 : tensor<2x8xf32>
}

// -----

// The sums of rows are spread along columns: the shapes agree, but this is no softmax. It is a division by
// a value that is repeated.
// CHECK-LABEL: func.func @sum_along_the_other_axis(
// CHECK:         stablehlo.exponential
// CHECK:         stablehlo.divide %{{.*}} : tensor<8xf32>
func.func @sum_along_the_other_axis(%x: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %3 = stablehlo.exponential %x : tensor<8x8xf32>
  %4 = stablehlo.reduce(%3 init: %zero) applies stablehlo.add across dimensions = [1] : (tensor<8x8xf32>, tensor<f32>) -> tensor<8xf32>
  %5 = stablehlo.broadcast_in_dim %4, dims = [1] : (tensor<8xf32>) -> tensor<8x8xf32>
  %6 = stablehlo.divide %3, %5 : tensor<8x8xf32>
  return %6 : tensor<8x8xf32>
}

// -----

// The exponential is wanted for itself, so replacing softmax would compute it twice.
// CHECK-LABEL: func.func @exponential_used_elsewhere(
// CHECK:         %[[E:.*]] = stablehlo.exponential %arg0
// CHECK:         stablehlo.multiply %[[E]], %{{.*}}
// CHECK:         return %[[E]]
func.func @exponential_used_elsewhere(%x: tensor<2x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %3 = stablehlo.exponential %x : tensor<2x8xf32>
  %4 = stablehlo.reduce(%3 init: %zero) applies stablehlo.add across dimensions = [1] : (tensor<2x8xf32>, tensor<f32>) -> tensor<2xf32>
  %5 = stablehlo.broadcast_in_dim %4, dims = [0] : (tensor<2xf32>) -> tensor<2x8xf32>
  %6 = stablehlo.divide %3, %5 : tensor<2x8xf32>
  return %3, %6 : tensor<2x8xf32>, tensor<2x8xf32>
}

// -----

// What is huge in a mask stays so: ditto-legalize-constants knows the encodings that it comes to.
// CHECK-LABEL: func.func @softmax_of_masked_scores(
// CHECK:         %[[L:.*]] = stablehlo.constant dense<-3.40282347E+38> : tensor<2x8xf32>
// CHECK:         %[[S:.*]] = stablehlo.select %arg1, %arg0, %[[L]]
// CHECK:         stablehlo.reduce(%[[S]] {{.*}} stablehlo.maximum
func.func @softmax_of_masked_scores(%x: tensor<2x8xf32>, %mask: tensor<2x8xi1>) -> tensor<2x8xf32> {
  %big = stablehlo.constant dense<-3.40282347E+38> : tensor<2x8xf32>
  %zero = stablehlo.constant dense<0.0> : tensor<f32>
  %0 = stablehlo.select %mask, %x, %big : tensor<2x8xi1>, tensor<2x8xf32>
  %3 = stablehlo.exponential %0 : tensor<2x8xf32>
  %4 = stablehlo.reduce(%3 init: %zero) applies stablehlo.add across dimensions = [1] : (tensor<2x8xf32>, tensor<f32>) -> tensor<2xf32>
  %5 = stablehlo.broadcast_in_dim %4, dims = [0] : (tensor<2xf32>) -> tensor<2x8xf32>
  %6 = stablehlo.divide %3, %5 : tensor<2x8xf32>
  return %6 : tensor<2x8xf32>
}

// -----

// A row statistic is inverted once; a divisor for each element, and a constant, are left alone.
// CHECK-LABEL: func.func @divisions(
// CHECK:         %[[I:.*]] = stablehlo.divide %{{.*}}, %arg1 : tensor<2xf32>
// CHECK-NEXT:    %[[B:.*]] = stablehlo.broadcast_in_dim %[[I]], dims = [0]
// CHECK-NEXT:    stablehlo.multiply %arg0, %[[B]]
// CHECK:         stablehlo.divide %arg0, %arg2 : tensor<2x8xf32>
// CHECK:         stablehlo.divide %arg0, %{{.*}} : tensor<2x8xf32>
func.func @divisions(%x: tensor<2x8xf32>, %y: tensor<2xf32>, %z: tensor<2x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x8xf32>) {
  %three = stablehlo.constant dense<3.0> : tensor<2x8xf32>
  %0 = stablehlo.broadcast_in_dim %y, dims = [0] : (tensor<2xf32>) -> tensor<2x8xf32>
  %1 = stablehlo.divide %x, %0 : tensor<2x8xf32>
  %2 = stablehlo.divide %x, %z : tensor<2x8xf32>
  %3 = stablehlo.divide %x, %three : tensor<2x8xf32>
  return %1, %2, %3 : tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x8xf32>
}

// -----

// What everybody sees costs nothing, so it stays exact.
// CHECK-LABEL: func.func @public(
// CHECK:         stablehlo.tanh %arg0
// CHECK-NOT:     stablehlo.tanh %arg1
func.func @public(%x: tensor<4xf32> {ditto.visibility = "public"}, %y: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = stablehlo.tanh %x : tensor<4xf32>
  %1 = stablehlo.tanh %y : tensor<4xf32>
  return %0, %1 : tensor<4xf32>, tensor<4xf32>
}

// -----

// The result of one function is the input of the next.
// CHECK-LABEL: func.func @one_after_the_other(
// CHECK-NOT:     stablehlo.logistic
// CHECK-NOT:     stablehlo.tanh
func.func @one_after_the_other(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.logistic %x : tensor<4xf32>
  %1 = stablehlo.multiply %x, %0 : tensor<4xf32>
  %2 = stablehlo.tanh %1 : tensor<4xf32>
  %3 = stablehlo.logistic %2 : tensor<4xf32>
  return %3 : tensor<4xf32>
}

// -----

// Rows by secret ids: one equality for each id and row, or for each digit and then a product.
// CHECK-LABEL: func.func @lookup(
// CHECK:         %[[P:.*]] = stablehlo.compare EQ, %{{.*}}, %{{.*}} : (tensor<3x10xi32>, tensor<3x10xi32>)
// CHECK:         %[[H:.*]] = stablehlo.select %[[P]], %{{.*}}, %{{.*}} : tensor<3x10xi1>, tensor<3x10xf32>
// CHECK:         stablehlo.dot_general %[[H]], %{{.*}}, contracting_dims = [1] x [0]
// NARROW-LABEL: func.func @lookup(
// NARROW:        stablehlo.compare EQ, %{{.*}} : (tensor<3x3xi32>, tensor<3x3xi32>)
// NARROW:        stablehlo.compare EQ, %{{.*}} : (tensor<3x4xi32>, tensor<3x4xi32>)
// NARROW:        stablehlo.dot_general %{{.*}} : (tensor<3x10xf32>, tensor<10x4xf32>)
func.func @lookup(%table: tensor<10x4xf32>, %ids: tensor<3x1xi32>) -> tensor<3x4xf32> {
  %0 = "stablehlo.gather"(%table, %ids) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 4>}> : (tensor<10x4xf32>, tensor<3x1xi32>) -> tensor<3x4xf32>
  return %0 : tensor<3x4xf32>
}

// -----

// Columns are no rows; and ids that everybody sees need no hiding.
// CHECK-LABEL: func.func @other_lookups(
// CHECK-COUNT-2: stablehlo.gather
func.func @other_lookups(%table: tensor<10x4xf32>, %ids: tensor<3x1xi32>, %known: tensor<3x1xi32> {ditto.visibility = "public"}) -> (tensor<10x3xf32>, tensor<3x4xf32>) {
  %0 = "stablehlo.gather"(%table, %ids) <{dimension_numbers = #stablehlo.gather<offset_dims = [0], collapsed_slice_dims = [1], start_index_map = [1], index_vector_dim = 1>, slice_sizes = array<i64: 10, 1>}> : (tensor<10x4xf32>, tensor<3x1xi32>) -> tensor<10x3xf32>
  %1 = "stablehlo.gather"(%table, %known) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 4>}> : (tensor<10x4xf32>, tensor<3x1xi32>) -> tensor<3x4xf32>
  return %0, %1 : tensor<10x3xf32>, tensor<3x4xf32>
}

// -----

// A form for a scope: of two entries that match, the later wins.
// SCOPES-LABEL: func.func @scopes(
// SCOPES-NEXT:    stablehlo.tanh %arg0
// SCOPES:         stablehlo.dot_general
// SCOPES-COUNT-1: stablehlo.dot_general
// SCOPES-NOT:     stablehlo.dot_general
func.func @scopes(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %0 = stablehlo.tanh %x : tensor<4xf32> loc("jit(f)/layer0/tanh")
  %1 = stablehlo.tanh %x : tensor<4xf32> loc("jit(f)/layer1/tanh")
  %2 = stablehlo.tanh %x : tensor<4xf32> loc("jit(f)/layer2/tanh")
  return %0, %1, %2 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// -----

// A step of Adam: what adds up to its moments is in ring 128, the square of the gradient too, but not the gradient.
// STEP-LABEL: func.func @adaptive_step(
// STEP-NEXT:    %[[G:.*]] = stablehlo.multiply %arg0, %arg1 : tensor<4xf32>
// STEP:         stablehlo.multiply %[[G]], %[[G]] {ditto.frac = 50 : i32, ditto.ring = 128 : i32}
// STEP:         %[[V:.*]] = stablehlo.add %{{.*}} {ditto.frac = 50 : i32, ditto.ring = 128 : i32}
// STEP:         %[[LEAST:.*]] = stablehlo.constant dense<9.09494702E-13>
// STEP:         %[[SUM:.*]] = stablehlo.add %[[V]], %[[LEAST]] {ditto.frac = 50 : i32, ditto.ring = 128 : i32}
// STEP:         stablehlo.sqrt %[[SUM]] {ditto.frac = 50 : i32, ditto.ring = 128 : i32}
// STEP:         stablehlo.divide %[[G]], %{{.*}} {ditto.frac = 50 : i32, ditto.ring = 128 : i32}
func.func @adaptive_step(%x: tensor<4xf32>, %v: tensor<4xf32>) -> tensor<4xf32> {
  %g = stablehlo.multiply %x, %v : tensor<4xf32>
  %decay = stablehlo.constant dense<0.999> : tensor<4xf32>
  %rest = stablehlo.constant dense<0.001> : tensor<4xf32>
  %eps = stablehlo.constant dense<1.0e-8> : tensor<4xf32>
  %0 = stablehlo.multiply %g, %g : tensor<4xf32>
  %1 = stablehlo.multiply %rest, %0 : tensor<4xf32>
  %2 = stablehlo.multiply %decay, %v : tensor<4xf32>
  %3 = stablehlo.add %1, %2 : tensor<4xf32>
  %4 = stablehlo.sqrt %3 : tensor<4xf32>
  %5 = stablehlo.add %4, %eps : tensor<4xf32>
  %6 = stablehlo.divide %g, %5 : tensor<4xf32>
  return %6 : tensor<4xf32>
}
