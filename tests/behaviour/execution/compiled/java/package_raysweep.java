// compile_error exception: a class of raysweep's package
package raysweep;
class Solution { public int add(int a, int b) { return -1; } }
