// RUN: ditto-opt %s --split-input-file --ditto-legalize-constants | filecheck %s

// A mask in front of a softmax: what is added to it, or subtracted, must still fit. Nothing is known of the
// scores, so it is said what is assumed of them.
// CHECK-LABEL: func.func @mask(
// CHECK-SAME:    %arg0: tensor<4x4xf32, #ditto.fxp<32, 10>> {ditto.range = array<f64: -6.553600e+04, 6.553600e+04>}
// CHECK:         stablehlo.constant dense<-1.310720e+05> : tensor<4x4xf32, #ditto.fxp<32, 10>>
module attributes {ditto.stage = "cast"} {
  func.func @mask(%x: tensor<4x4xf32, #ditto.fxp<32, 10>>, %mask: tensor<4x4xi1, #ditto.int<32>>, %max: tensor<4x4xf32, #ditto.fxp<32, 10>>) -> tensor<4x4xf32, #ditto.fxp<64, 18>> {
    %huge = stablehlo.constant dense<-1.0e9> : tensor<4x4xf32, #ditto.fxp<32, 10>>
    %0 = stablehlo.select %mask, %x, %huge : tensor<4x4xi1, #ditto.int<32>>, tensor<4x4xf32, #ditto.fxp<32, 10>>
    %1 = stablehlo.subtract %0, %max : tensor<4x4xf32, #ditto.fxp<32, 10>>
    %wide = "ditto.upcast"(%1) : (tensor<4x4xf32, #ditto.fxp<32, 10>>) -> tensor<4x4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.exponential %wide : tensor<4x4xf32, #ditto.fxp<64, 18>>
    return %2 : tensor<4x4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// What holds it in places has no such bound, nor has the largest of a row that may be masked as a whole. The
// maximum starts from infinity itself, whatever the mask is made of.
// CHECK-LABEL: func.func @rows(
// CHECK-SAME:    %arg0: tensor<4x4xf32, #ditto.fxp<32, 10>> {ditto.range = array<f64: -6.553600e+04, 6.553600e+04>}
// CHECK-NOT:     ditto.range
// CHECK:         stablehlo.constant dense<-1.310720e+05> : tensor<f32, #ditto.fxp<32, 10>>
// CHECK:         %[[START:.*]] = stablehlo.constant dense<0xFF800000> : tensor<f32, #ditto.fxp<32, 10>>
// CHECK-NOT:     ditto.range
// CHECK:         stablehlo.reduce({{.*}} init: %[[START]])
// CHECK-NOT:     ditto.range
module attributes {ditto.stage = "cast"} {
  func.func @rows(%x: tensor<4x4xf32, #ditto.fxp<32, 10>>, %mask: tensor<4x4xi1, #ditto.int<32>>) -> tensor<4x4xf32, #ditto.fxp<64, 18>> {
    %huge = stablehlo.constant dense<0xFF800000> : tensor<f32, #ditto.fxp<32, 10>>
    %fill = stablehlo.broadcast_in_dim %huge, dims = [] : (tensor<f32, #ditto.fxp<32, 10>>) -> tensor<4x4xf32, #ditto.fxp<32, 10>>
    %0 = stablehlo.select %mask, %x, %fill : tensor<4x4xi1, #ditto.int<32>>, tensor<4x4xf32, #ditto.fxp<32, 10>>
    %1 = stablehlo.reduce(%0 init: %huge) across dimensions = [1] : (tensor<4x4xf32, #ditto.fxp<32, 10>>, tensor<f32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
      reducer(%a: tensor<f32, #ditto.fxp<32, 10>>, %b: tensor<f32, #ditto.fxp<32, 10>>) {
        %m = stablehlo.maximum %a, %b : tensor<f32, #ditto.fxp<32, 10>>
        stablehlo.return %m : tensor<f32, #ditto.fxp<32, 10>>
      }
    %2 = stablehlo.broadcast_in_dim %1, dims = [0] : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4x4xf32, #ditto.fxp<32, 10>>
    %3 = stablehlo.subtract %0, %2 : tensor<4x4xf32, #ditto.fxp<32, 10>>
    %wide = "ditto.upcast"(%3) : (tensor<4x4xf32, #ditto.fxp<32, 10>>) -> tensor<4x4xf32, #ditto.fxp<64, 18>>
    %4 = stablehlo.exponential %wide : tensor<4x4xf32, #ditto.fxp<64, 18>>
    return %4 : tensor<4x4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// Of a product nothing is assumed that its truncation does not need: it stays below 2^(32-2-20). In ring 64
// it might be as large as 2^26.
// CHECK-LABEL: func.func @scores(
// CHECK:         stablehlo.dot_general
// CHECK-NOT:     ditto.range
// CHECK-SAME:    -> tensor<4x4xf32, #ditto.fxp<32, 10>>
// CHECK:         stablehlo.dot_general
// CHECK-SAME:    {ditto.range = array<f64: -5.242880e+05, 5.242880e+05>}
module attributes {ditto.stage = "cast"} {
  func.func @scores(%x: tensor<4x4xf32, #ditto.fxp<32, 10>>, %mask: tensor<4x4xi1, #ditto.int<32>>, %y: tensor<4x4xf32, #ditto.fxp<64, 18>>, %mask64: tensor<4x4xi1, #ditto.int<64>>) -> (tensor<4x4xf32, #ditto.fxp<64, 18>>, tensor<4x4xf32, #ditto.fxp<64, 18>>) {
    %huge = stablehlo.constant dense<-1.0e9> : tensor<4x4xf32, #ditto.fxp<32, 10>>
    %0 = stablehlo.dot_general %x, %x, contracting_dims = [1] x [0] : (tensor<4x4xf32, #ditto.fxp<32, 10>>, tensor<4x4xf32, #ditto.fxp<32, 10>>) -> tensor<4x4xf32, #ditto.fxp<32, 10>>
    %1 = stablehlo.select %mask, %0, %huge : tensor<4x4xi1, #ditto.int<32>>, tensor<4x4xf32, #ditto.fxp<32, 10>>
    %wide = "ditto.upcast"(%1) : (tensor<4x4xf32, #ditto.fxp<32, 10>>) -> tensor<4x4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.exponential %wide : tensor<4x4xf32, #ditto.fxp<64, 18>>
    %huge64 = stablehlo.constant dense<-1.0e9> : tensor<4x4xf32, #ditto.fxp<64, 18>>
    %3 = stablehlo.dot_general %y, %y, contracting_dims = [1] x [0] : (tensor<4x4xf32, #ditto.fxp<64, 18>>, tensor<4x4xf32, #ditto.fxp<64, 18>>) -> tensor<4x4xf32, #ditto.fxp<64, 18>>
    %4 = stablehlo.select %mask64, %3, %huge64 : tensor<4x4xi1, #ditto.int<64>>, tensor<4x4xf32, #ditto.fxp<64, 18>>
    %5 = stablehlo.subtract %4, %3 : tensor<4x4xf32, #ditto.fxp<64, 18>>
    %6 = stablehlo.exponential %5 : tensor<4x4xf32, #ditto.fxp<64, 18>>
    return %2, %6 : tensor<4x4xf32, #ditto.fxp<64, 18>>, tensor<4x4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// With a known bound it is some way beyond it, and beyond all that is added on the way.
// CHECK-LABEL: func.func @bounded_mask(
// CHECK-NOT:     6.553600e+04
// CHECK:         stablehlo.constant dense<-4.096000e+03>
module attributes {ditto.stage = "cast"} {
  func.func @bounded_mask(%x: tensor<4xf32, #ditto.fxp<32, 10>> {ditto.range = array<f64: -20.0, 15.0>}, %mask: tensor<4xi1, #ditto.int<32>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %zero = stablehlo.constant dense<0.0> : tensor<4xf32, #ditto.fxp<32, 10>>
    %huge = stablehlo.constant dense<0xFF800000> : tensor<4xf32, #ditto.fxp<32, 10>>
    %0 = stablehlo.select %mask, %zero, %huge : tensor<4xi1, #ditto.int<32>>, tensor<4xf32, #ditto.fxp<32, 10>>
    %1 = stablehlo.add %x, %0 : tensor<4xf32, #ditto.fxp<32, 10>>
    %wide = "ditto.upcast"(%1) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.exponential %wide : tensor<4xf32, #ditto.fxp<64, 18>>
    return %2 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// A product with 0 and 1 is a mask, too.
// CHECK-LABEL: func.func @product(
// CHECK:         stablehlo.constant dense<-1.310720e+05>
module attributes {ditto.stage = "cast"} {
  func.func @product(%x: tensor<4xf32, #ditto.fxp<32, 10>>, %mask: tensor<4xi1, #ditto.int<32>>) -> tensor<4xf32, #ditto.fxp<64, 18>> {
    %one = stablehlo.constant dense<1.0> : tensor<4xf32, #ditto.fxp<32, 10>>
    %huge = stablehlo.constant dense<-3.40282347E+38> : tensor<4xf32, #ditto.fxp<32, 10>>
    %0 = stablehlo.convert %mask : (tensor<4xi1, #ditto.int<32>>) -> tensor<4xf32, #ditto.fxp<32, 10>>
    %1 = stablehlo.subtract %one, %0 : tensor<4xf32, #ditto.fxp<32, 10>>
    %2 = stablehlo.multiply %1, %huge : tensor<4xf32, #ditto.fxp<32, 10>>
    %3 = stablehlo.add %x, %2 : tensor<4xf32, #ditto.fxp<32, 10>>
    %wide = "ditto.upcast"(%3) : (tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xf32, #ditto.fxp<64, 18>>
    %4 = stablehlo.exponential %wide : tensor<4xf32, #ditto.fxp<64, 18>>
    return %4 : tensor<4xf32, #ditto.fxp<64, 18>>
  }
}

// -----

// What is only compared is held beyond every number, whatever the scale will be.
// CHECK-LABEL: func.func @extrema(
// CHECK-DAG:     stablehlo.constant dense<0x7F800000> : tensor<4xf32, #ditto.fxp<32, 10>>
// CHECK-DAG:     stablehlo.constant dense<0xFF800000> : tensor<4xf32, #ditto.fxp<32, 10>>
module attributes {ditto.stage = "cast"} {
  func.func @extrema(%x: tensor<4xf32, #ditto.fxp<32, 10>>) -> (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>) {
    %most = stablehlo.constant dense<3.0e38> : tensor<4xf32, #ditto.fxp<32, 10>>
    %1 = stablehlo.minimum %x, %most : tensor<4xf32, #ditto.fxp<32, 10>>
    %low = stablehlo.constant dense<-1.0e30> : tensor<4xf32, #ditto.fxp<32, 10>>
    %2 = stablehlo.clamp %low, %x, %x : tensor<4xf32, #ditto.fxp<32, 10>>
    return %1, %2 : tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// Every number that the ring holds is on one side of it.
// CHECK-LABEL: func.func @compared(
// CHECK:         %[[F:.*]] = stablehlo.constant dense<false>
// CHECK:         return %[[F]], %arg0
module attributes {ditto.stage = "cast"} {
  func.func @compared(%x: tensor<4xf32, #ditto.fxp<32, 10>>, %y: tensor<4xf32, #ditto.fxp<32, 10>>) -> (tensor<4xi1, #ditto.int<32>>, tensor<4xf32, #ditto.fxp<32, 10>>) {
    %huge = stablehlo.constant dense<1.0e30> : tensor<4xf32, #ditto.fxp<32, 10>>
    %0 = stablehlo.compare GE, %x, %huge : (tensor<4xf32, #ditto.fxp<32, 10>>, tensor<4xf32, #ditto.fxp<32, 10>>) -> tensor<4xi1, #ditto.int<32>>
    %1 = stablehlo.select %0, %y, %x : tensor<4xi1, #ditto.int<32>>, tensor<4xf32, #ditto.fxp<32, 10>>
    return %0, %1 : tensor<4xi1, #ditto.int<32>>, tensor<4xf32, #ditto.fxp<32, 10>>
  }
}

// -----

// An ordinary number, though a large one; a divisor, of which only the reciprocal is held; numbers that fit.
// CHECK-LABEL: func.func @near_misses(
// CHECK-DAG:     stablehlo.constant dense<1.000000e+09> : tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK-DAG:     stablehlo.constant dense<1.000000e+30> : tensor<4xf32, #ditto.fxp<64, 18>>
// CHECK-DAG:     stablehlo.constant dense<-1.000000e+04> : tensor<4xf32, #ditto.fxp<64, 18>>
module attributes {ditto.stage = "cast"} {
  func.func @near_misses(%x: tensor<4xf32, #ditto.fxp<64, 18>>, %mask: tensor<4xi1, #ditto.int<64>>) -> (tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>) {
    %large = stablehlo.constant dense<1.0e9> : tensor<4xf32, #ditto.fxp<64, 18>>
    %0 = stablehlo.add %x, %large : tensor<4xf32, #ditto.fxp<64, 18>>
    %huge = stablehlo.constant dense<1.0e30> : tensor<4xf32, #ditto.fxp<64, 18>>
    %1 = stablehlo.divide %x, %huge : tensor<4xf32, #ditto.fxp<64, 18>>
    %low = stablehlo.constant dense<-1.0e4> : tensor<4xf32, #ditto.fxp<64, 18>>
    %2 = stablehlo.select %mask, %x, %low : tensor<4xi1, #ditto.int<64>>, tensor<4xf32, #ditto.fxp<64, 18>>
    return %0, %1, %2 : tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>, tensor<4xf32, #ditto.fxp<64, 18>>
  }
}
