// RUN: ditto-opt %s --split-input-file --ditto-legalize-integers | filecheck %s

// x < y where x - y may leave the ring: the top bits of x, y and x - y, in one comparison.
// CHECK-LABEL: func.func @less(
// CHECK:         %[[D:.*]] = stablehlo.subtract %arg0, %arg1
// CHECK:         %[[ALL:.*]] = stablehlo.concatenate
// CHECK-COUNT-1: stablehlo.compare LT, %[[ALL]]
// CHECK-NOT:     stablehlo.compare
// CHECK:         %[[A:.*]] = stablehlo.xor %[[X:.*]], %[[Y:.*]] :
// CHECK-NEXT:    %[[B:.*]] = stablehlo.xor %[[X]], %[[S:.*]] :
// CHECK-NEXT:    %[[C:.*]] = stablehlo.and %[[A]], %[[B]]
// CHECK-NEXT:    %[[L:.*]] = stablehlo.xor %[[S]], %[[C]]
// CHECK-NEXT:    return %[[L]]
module attributes {ditto.stage = "cast"} {
  func.func @less(%x: tensor<4xi32, #ditto.int<32>>, %y: tensor<4xi32, #ditto.int<32>>) -> tensor<4xi1, #ditto.int<32>> {
    %0 = stablehlo.compare LT, %x, %y : (tensor<4xi32, #ditto.int<32>>, tensor<4xi32, #ditto.int<32>>) -> tensor<4xi1, #ditto.int<32>>
    return %0 : tensor<4xi1, #ditto.int<32>>
  }
}

// -----

// Where ranges prove that the difference fits, the ring's comparison is right.
// CHECK-LABEL: func.func @small(
// CHECK-NEXT:    %0 = stablehlo.compare LT, %arg0, %arg1
// CHECK-NEXT:    return %0
module attributes {ditto.stage = "cast"} {
  func.func @small(%x: tensor<4xi32, #ditto.int<32>> {ditto.range = array<f64: 0.0, 9.0>}, %y: tensor<4xi32, #ditto.int<32>> {ditto.range = array<f64: 0.0, 9.0>}) -> tensor<4xi1, #ditto.int<32>> {
    %0 = stablehlo.compare LT, %x, %y : (tensor<4xi32, #ditto.int<32>>, tensor<4xi32, #ditto.int<32>>) -> tensor<4xi1, #ditto.int<32>>
    return %0 : tensor<4xi1, #ditto.int<32>>
  }
}

// -----

// An outcome that is known is a constant.
// CHECK-LABEL: func.func @known(
// CHECK:         %[[C:.*]] = stablehlo.constant dense<true>
// CHECK:         return %[[C]]
module attributes {ditto.stage = "cast"} {
  func.func @known(%x: tensor<4xui8, #ditto.int<32>>) -> tensor<4xi1, #ditto.int<32>> {
    %c = stablehlo.constant dense<0> : tensor<4xui8, #ditto.int<32>>
    %0 = stablehlo.compare GE, %x, %c : (tensor<4xui8, #ditto.int<32>>, tensor<4xui8, #ditto.int<32>>) -> tensor<4xi1, #ditto.int<32>>
    return %0 : tensor<4xi1, #ditto.int<32>>
  }
}

// -----

// An amount of the width or more gives zeros, and what is shifted right has nothing above its type.
// CHECK-LABEL: func.func @shift(
// CHECK:         %[[SUM:.*]] = stablehlo.add %arg0, %arg1
// CHECK:         %[[W:.*]] = stablehlo.constant dense<8>
// CHECK:         %[[IN:.*]] = stablehlo.compare LT, %arg1, %[[W]]
// CHECK:         %[[BY:.*]] = stablehlo.select %[[IN]], %arg1,
// CHECK:         %[[X:.*]] = "ditto.wrap"(%[[SUM]])
// CHECK:         %[[R:.*]] = stablehlo.shift_right_logical %[[X]], %[[BY]]
// CHECK:         stablehlo.select %[[IN]], %[[R]],
module attributes {ditto.stage = "cast"} {
  func.func @shift(%x: tensor<4xui8, #ditto.int<32>>, %y: tensor<4xui8, #ditto.int<32>>) -> tensor<4xui8, #ditto.int<32>> {
    %0 = stablehlo.add %x, %y : tensor<4xui8, #ditto.int<32>>
    %1 = stablehlo.shift_right_logical %0, %y : tensor<4xui8, #ditto.int<32>>
    return %1 : tensor<4xui8, #ditto.int<32>>
  }
}

// -----

// A divisor of 0 gives all ones, as XLA does. A constant is divided by as the largest dividend allows.
// CHECK-LABEL: func.func @divide(
// CHECK:         %[[Q:.*]] = "ditto.quotient"(%arg0, %arg1) {bits = 8 : i32}
// CHECK:         %[[NONE:.*]] = stablehlo.compare EQ, %arg1,
// CHECK:         %[[A:.*]] = stablehlo.select %[[NONE]], %{{.*}}, %[[Q]]
// CHECK:         %[[K:.*]] = "ditto.quotient"(%arg0) {divisor = 7 : ui64, limit = 255 : ui64}
// CHECK:         %[[M:.*]] = stablehlo.multiply %[[K]],
// CHECK:         %[[B:.*]] = stablehlo.subtract %arg0, %[[M]]
// CHECK:         return %[[A]], %[[B]]
module attributes {ditto.stage = "cast"} {
  func.func @divide(%x: tensor<4xui8, #ditto.int<32>>, %y: tensor<4xui8, #ditto.int<32>>) -> (tensor<4xui8, #ditto.int<32>>, tensor<4xui8, #ditto.int<32>>) {
    %c = stablehlo.constant dense<7> : tensor<4xui8, #ditto.int<32>>
    %0 = stablehlo.divide %x, %y : tensor<4xui8, #ditto.int<32>>
    %1 = stablehlo.remainder %x, %c : tensor<4xui8, #ditto.int<32>>
    return %0, %1 : tensor<4xui8, #ditto.int<32>>, tensor<4xui8, #ditto.int<32>>
  }
}

// -----

// What reads all bits gets none above the type; equality reads those of the type.
// CHECK-LABEL: func.func @extend(
// CHECK:         %[[P:.*]] = stablehlo.multiply %arg0, %arg0
// CHECK:         %[[X:.*]] = "ditto.wrap"(%[[P]])
// CHECK:         stablehlo.convert %[[X]]
// CHECK:         stablehlo.compare EQ, %[[P]], %{{.*}} {ditto.low_bits}
module attributes {ditto.stage = "cast"} {
  func.func @extend(%x: tensor<4xi8, #ditto.int<32>>) -> (tensor<4xi32, #ditto.int<32>>, tensor<4xi1, #ditto.int<32>>) {
    %c = stablehlo.constant dense<7> : tensor<4xi8, #ditto.int<32>>
    %0 = stablehlo.multiply %x, %x : tensor<4xi8, #ditto.int<32>>
    %1 = stablehlo.convert %0 : (tensor<4xi8, #ditto.int<32>>) -> tensor<4xi32, #ditto.int<32>>
    %2 = stablehlo.compare EQ, %0, %c : (tensor<4xi8, #ditto.int<32>>, tensor<4xi8, #ditto.int<32>>) -> tensor<4xi1, #ditto.int<32>>
    return %1, %2 : tensor<4xi32, #ditto.int<32>>, tensor<4xi1, #ditto.int<32>>
  }
}

// -----

// CHECK-LABEL: func.func @booleans(
// CHECK-NEXT:    %[[OR:.*]] = stablehlo.or %arg0, %arg1
// CHECK-NEXT:    %[[AND:.*]] = stablehlo.and %arg0, %arg1
// CHECK-NEXT:    return %[[OR]], %[[AND]]
module attributes {ditto.stage = "cast"} {
  func.func @booleans(%x: tensor<4xi1, #ditto.int<32>>, %y: tensor<4xi1, #ditto.int<32>>) -> (tensor<4xi1, #ditto.int<32>>, tensor<4xi1, #ditto.int<32>>) {
    %0 = stablehlo.add %x, %y : tensor<4xi1, #ditto.int<32>>
    %1 = stablehlo.multiply %x, %y : tensor<4xi1, #ditto.int<32>>
    return %0, %1 : tensor<4xi1, #ditto.int<32>>, tensor<4xi1, #ditto.int<32>>
  }
}

// -----

// The protocol extends numbers below 2^30: the sign goes apart.
// CHECK-LABEL: func.func @upcast(
// CHECK:         %[[S:.*]] = stablehlo.compare LT, %arg0,
// CHECK:         %[[LOW:.*]] = stablehlo.subtract
// CHECK:         "ditto.upcast"(%[[LOW]]) : (tensor<4xi32, #ditto.int<32>>) -> tensor<4xi32, #ditto.int<64>>
// CHECK:         "ditto.upcast"(%[[S]]) : (tensor<4xi1, #ditto.int<32>>) -> tensor<4xi1, #ditto.int<64>>
module attributes {ditto.stage = "cast"} {
  func.func @upcast(%x: tensor<4xi32, #ditto.int<32>>) -> tensor<4xi32, #ditto.int<64>> {
    %0 = "ditto.upcast"(%x) : (tensor<4xi32, #ditto.int<32>>) -> tensor<4xi32, #ditto.int<64>>
    return %0 : tensor<4xi32, #ditto.int<64>>
  }
}
