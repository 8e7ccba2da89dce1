// RUN: ditto-opt %s --split-input-file --ditto-insert-casts | filecheck %s

// CHECK:       module attributes {ditto.stage = "cast"}
// CHECK-LABEL: func.func @upcast(
// CHECK-NEXT:    %[[U:.*]] = "ditto.upcast"(%arg0) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK-NEXT:    %[[E:.*]] = stablehlo.exponential %[[U]]
// CHECK-NEXT:    return %[[E]]
module attributes {ditto.stage = "annotated"} {
  func.func @upcast(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.exponential %x : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// CHECK-LABEL: func.func @downcast(
// CHECK-NEXT:    %[[D:.*]] = "ditto.downcast"(%arg0) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
// CHECK-NEXT:    stablehlo.add %[[D]], %arg1
module attributes {ditto.stage = "annotated"} {
  func.func @downcast(%x: tensor<4xf32, #ditto.fxp<64, 18>>, %y: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    %0 = stablehlo.add %x, %y : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    return %0 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// CHECK-LABEL: func.func @rescale(
// CHECK-NEXT:    %[[S:.*]] = "ditto.rescale"(%arg0) : (tensor<4xf32, #ditto.fxp<64, 20>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK-NEXT:    stablehlo.negate %[[S]]
module attributes {ditto.stage = "annotated"} {
  func.func @rescale(%x: tensor<4xf32, #ditto.fxp<64, 20>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.negate %x : (tensor<4xf32, #ditto.fxp<64, 20>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// No protocol narrows and adds fraction bits at once: the fraction is changed in the wide ring, where there is room.
// CHECK-LABEL: func.func @two_casts(
// CHECK-NEXT:    %[[S:.*]] = "ditto.rescale"(%arg0) : (tensor<4xf32, #ditto.fxp<64, 4>>) -> tensor<4xf32, #ditto.fxp<64, 10>>
// CHECK-NEXT:    %[[D:.*]] = "ditto.downcast"(%[[S]]) : (tensor<4xf32, #ditto.fxp<64, 10>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
// CHECK-NEXT:    stablehlo.negate %[[D]]
module attributes {ditto.stage = "annotated"} {
  func.func @two_casts(%x: tensor<4xf32, #ditto.fxp<64, 4>>) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    %0 = stablehlo.negate %x : (tensor<4xf32, #ditto.fxp<64, 4>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    return %0 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// CHECK-LABEL: func.func @nothing_to_do(
// CHECK-NOT:     "ditto.
// CHECK:         return
module attributes {ditto.stage = "annotated"} {
  func.func @nothing_to_do(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.add %x, %x : tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// The predicate and the integers of an op are cast to its ring, without a scale.
// CHECK-LABEL: func.func @predicate(
// CHECK-NEXT:    %[[P:.*]] = "ditto.upcast"(%arg0) : (tensor<4xi1, #ditto.int<32>>) -> tensor<4xi1, #ditto.int<64>>
// CHECK-NEXT:    stablehlo.select %[[P]], %arg1, %arg1
module attributes {ditto.stage = "annotated"} {
  func.func @predicate(%p: tensor<4xi1, #ditto.int<32>>, %x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %0 = stablehlo.select %p, %x, %x : tensor<4xi1, #ditto.int<32>>, tensor<4xf32, #ditto.fxp<64, 18>>
    return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// The user's conversion becomes a cast and a conversion that costs nothing.
// CHECK-LABEL: func.func @conversion(
// CHECK-NEXT:    %[[D:.*]] = "ditto.downcast"(%arg0) : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 8>>
// CHECK-NEXT:    stablehlo.convert %[[D]] : (tensor<4xf32, #ditto.fxp<32, 8>>) -> tensor<4xf16, #ditto.fxp<32, 8>>
module attributes {ditto.stage = "annotated"} {
  func.func @conversion(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf16, #ditto.fxp<32, 8>> {
    %0 = stablehlo.convert %x : (tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf16, #ditto.fxp<32, 8>>
    return %0 : tensor<4xf16, #ditto.fxp<32, 8>>
  }
}

// -----

// Only the operands of a comparison have a scale; without an attribute, the one that is in the op's ring.
// CHECK-LABEL: func.func @comparison(
// CHECK-NEXT:    %[[U:.*]] = "ditto.upcast"(%arg0) : {{.*}} -> tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK-NEXT:    stablehlo.compare LT, %[[U]], %arg1
// CHECK-NEXT:    %[[V:.*]] = "ditto.upcast"(%arg0) : {{.*}} -> tensor<4xf32, #ditto.fxp<64, 16>>
// CHECK-NEXT:    %[[W:.*]] = "ditto.upcast"(%arg0) : {{.*}} -> tensor<4xf32, #ditto.fxp<64, 16>>
// CHECK-NEXT:    stablehlo.compare GT, %[[V]], %[[W]] : (tensor<4xf32, #ditto.fxp<64, 16>>, tensor<4xf32, #ditto.fxp<64, 16>>)
module attributes {ditto.stage = "annotated"} {
  func.func @comparison(%x: tensor<4xf32, #ditto.fxp<32, 10>>, %y: tensor<4xf32, #ditto.fxp<64, 18>>) -> (tensor<4xi1, #ditto.int<64>>, tensor<4xi1, #ditto.int<64>>) {
    %0 = stablehlo.compare LT, %x, %y : (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xi1, #ditto.int<64>>
    %1 = stablehlo.compare GT, %x, %x {ditto.frac = 16 : i32} : (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xi1, #ditto.int<64>>
    return %0, %1 : tensor<4xi1, #ditto.int<64>>, tensor<4xi1, #ditto.int<64>>
  }
}

// -----

// A branch stays whole: what it uses from outside is cast before it.
// CHECK-LABEL: func.func @before_the_branch(
// CHECK-NEXT:    %[[P:.*]] = "ditto.upcast"(%arg0)
// CHECK-NEXT:    %[[U:.*]] = "ditto.upcast"(%arg1)
// CHECK-NEXT:    %[[V:.*]] = "ditto.upcast"(%arg1)
// CHECK-NEXT:    "stablehlo.if"(%[[P]])
// CHECK:           stablehlo.add %[[U]], %[[V]]
module attributes {ditto.stage = "annotated"} {
  func.func @before_the_branch(%p: tensor<i1, #ditto.int<32>>, %x: tensor<f32, #ditto.fxp<32, 10>>) -> tensor<f32, #ditto.fxp<64, 18>> {
    %0 = "stablehlo.if"(%p) ({
      %1 = stablehlo.add %x, %x : (tensor<f32, #ditto.fxp<32, 10>>, tensor<f32, #ditto.fxp<32, 10>>) -> tensor<f32, #ditto.fxp<64, 18>>
      stablehlo.return %1 : tensor<f32, #ditto.fxp<64, 18>>
    }, {
      %1 = stablehlo.constant dense<0.0> : tensor<f32, #ditto.fxp<64, 18>>
      stablehlo.return %1 : tensor<f32, #ditto.fxp<64, 18>>
    }) : (tensor<i1, #ditto.int<32>>) -> tensor<f32, #ditto.fxp<64, 18>>
    return %0 : tensor<f32, #ditto.fxp<64, 18>>
  }
}

// -----

// The user's attributes have done their work.
// CHECK-LABEL: func.func @attributes_go(
// CHECK-NOT:     ditto.ring
// CHECK-NOT:     ditto.frac
// CHECK:         return
module attributes {ditto.stage = "annotated"} {
  func.func @attributes_go(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    %0 = stablehlo.add %x, %x {ditto.ring = 32 : i32, ditto.frac = 10 : i32} : tensor<4xf32, #ditto.fxp<32, 10>>
    return %0 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// A constant is written again in the other ring, so that the division by it still needs no division.
// CHECK-LABEL: func.func @constant(
// CHECK-DAG:     %[[X:.*]] = "ditto.downcast"(%arg0)
// CHECK-DAG:     %[[C:.*]] = stablehlo.constant dense<3.000000e+00> : tensor<f32, #ditto.fxp<32, 10>>
// CHECK-DAG:     %[[B:.*]] = stablehlo.broadcast_in_dim %[[C]], dims = [] : {{.*}} -> tensor<4xf32, #ditto.fxp<32, 10>>
// CHECK:         stablehlo.divide %[[X]], %[[B]] : tensor<4xf32, #ditto.fxp<32, 10>>
module attributes {ditto.stage = "annotated"} {
  func.func @constant(%x: tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>> {
    %c = stablehlo.constant dense<3.0> : tensor<f32, #ditto.fxp<64, 18>>
    %0 = stablehlo.broadcast_in_dim %c, dims = [] : (tensor<f32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %1 = stablehlo.divide %x, %0 : (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    return %1 : tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// An index that the ring does not hold is limited before it is cast; a constant that it holds is written again.
// CHECK-LABEL: func.func @index(
// CHECK:         %[[M:.*]] = stablehlo.constant dense<5> : tensor<i64, #ditto.int<64>>
// CHECK:         %[[L:.*]] = stablehlo.clamp %{{.*}}, %arg1, %[[M]] : tensor<i64, #ditto.int<64>>
// CHECK:         %[[I:.*]] = "ditto.downcast"(%[[L]])
// CHECK:         %[[C:.*]] = stablehlo.constant dense<1> : tensor<i64, #ditto.int<32>>
// CHECK:         stablehlo.dynamic_slice %arg0, %[[I]], %[[C]], sizes = [1, 2]
module attributes {ditto.stage = "annotated"} {
  func.func @index(%x: tensor<4x5xi32, #ditto.int<32>>, %i: tensor<i64, #ditto.int<64>>) -> tensor<1x2xi32, #ditto.int<32>> {
    %c = stablehlo.constant dense<1> : tensor<i64, #ditto.int<64>>
    %0 = stablehlo.dynamic_slice %x, %i, %c, sizes = [1, 2] : (tensor<4x5xi32, #ditto.int<32>>, tensor<i64, #ditto.int<64>>, tensor<i64, #ditto.int<64>>) -> tensor<1x2xi32, #ditto.int<32>>
    return %0 : tensor<1x2xi32, #ditto.int<32>>
  }
}
