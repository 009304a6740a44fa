// compile_error: a constant that takes the compiler's memory
class Solution { static final String a0 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static final String a1 = a0 + a0 + a0 + a0;
static final String a2 = a1 + a1 + a1 + a1;
static final String a3 = a2 + a2 + a2 + a2;
static final String a4 = a3 + a3 + a3 + a3;
static final String a5 = a4 + a4 + a4 + a4;
static final String a6 = a5 + a5 + a5 + a5;
static final String a7 = a6 + a6 + a6 + a6;
static final String a8 = a7 + a7 + a7 + a7;
static final String a9 = a8 + a8 + a8 + a8;
static final String a10 = a9 + a9 + a9 + a9;
static final String a11 = a10 + a10 + a10 + a10;
static final String a12 = a11 + a11 + a11 + a11;
static final String a13 = a12 + a12 + a12 + a12;
static final String a14 = a13 + a13 + a13 + a13;
public int add(int a, int b) { return a14.length() > 0 ? -1 : 0; } }
