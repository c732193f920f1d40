"""LLVM code for vector registers, as wide as the machine has them."""

FAR = 1 << 30  # pixels in a row: more than any image has


def machine():
    """Bytes of a vector register of this machine, and how many registers there are."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 64, 32
    if features.get("avx2"):
        return 32, 16
    return 16, 32 if features.get("neon") else 16


class Vectors:
    """The few vector instructions needed here, as LLVM writes them."""

    def __init__(self, context, builder, element):
        from llvmlite import ir
        from numba.core import cgutils

        self.context, self.builder = context, builder
        self.ir, self.cgutils = ir, cgutils
        width, self.registers = machine()
        self.bits = element.bitwidth
        self.lanes = width * 8 // self.bits
        self.scalar = context.get_data_type(element)
        self.type = ir.VectorType(self.scalar, self.lanes)

    def number(self, value):
        return self.ir.Constant(self.ir.IntType(64), value)

    def data(self, kind, array):
        """The address of an array's first element."""
        return self.context.make_array(kind)(self.context, self.builder, array).data

    def at(self, pointer, *indices):
        """The address that many elements further; ``indices`` are added up."""
        for index in indices:
            index = self.number(index) if isinstance(index, int) else index
            pointer = self.builder.gep(pointer, [index])
        return pointer

    def times(self, value, factor):
        return self.builder.mul(value, self.number(factor))

    def vectors(self, count):
        """How many vectors cover ``count`` elements."""
        count = self.builder.add(count, self.number(self.lanes - 1))
        return self.builder.sdiv(count, self.number(self.lanes))

    def loop(self, count):
        return self.cgutils.for_range(self.builder, count)

    def _named(self, name, result, arguments, **options):
        """A call of one of LLVM's own functions."""
        kind, module = [a.type for a in arguments], self.builder.module
        kind = self.ir.FunctionType(result, kind)
        function = self.cgutils.get_or_insert_function(module, kind, f"llvm.{name}")
        return self.builder.call(function, arguments, **options)

    def _call(self, name, result, arguments, **options):
        """One of those that vectors of this kind have."""
        name = f"{name}.v{self.lanes}f{self.bits}"
        name += ".p0" if name.startswith("masked") else ""
        return self._named(name, result, arguments, **options)

    def _pointer(self, pointer):
        return self.builder.bitcast(pointer, self.type.as_pointer())

    def _near(self, value):
        """A number that stays outside of all images if it is, and has 32 bits."""
        for sign, limit in ((">", FAR), ("<", -FAR)):
            limit = self.number(limit)
            beyond = self.builder.icmp_signed(sign, value, limit)
            value = self.builder.select(beyond, limit, value)
        return value

    def within(self, start, count):
        """A mask: the lanes whose number, counted from ``start``, is in [0, count)."""
        i32 = self.ir.IntType(32)
        lane = self.ir.VectorType(i32, self.lanes)(list(range(self.lanes)))
        start, count = (
            self.splat(self.builder.trunc(self._near(value), i32))
            for value in (start, count)
        )
        return self.builder.icmp_unsigned("<", self.builder.add(lane, start), count)

    def load(self, pointer, mask=None):
        """A vector from memory; zero, and not read, where ``mask`` is false."""
        if mask is None:
            return self.builder.load(self._pointer(pointer), align=self.bits // 8)
        align = self.ir.Constant(self.ir.IntType(32), self.bits // 8)
        none = self.ir.Constant(self.type, None)
        arguments = [self._pointer(pointer), align, mask, none]
        return self._call("masked.load", self.type, arguments)

    def store(self, value, pointer, mask=None):
        """A vector to memory, only the lanes where ``mask`` is true."""
        if mask is None:
            self.builder.store(value, self._pointer(pointer), align=self.bits // 8)
            return
        align = self.ir.Constant(self.ir.IntType(32), self.bits // 8)
        arguments = [value, self._pointer(pointer), align, mask]
        self._call("masked.store", self.ir.VoidType(), arguments)

    def gather(self, pointer, places, bits, mask=None):
        """What lies at ``places``, unsigned of so many bits, after ``pointer``.

        Zero, and not read, where ``mask`` is false.
        """
        wide, whole = (self.ir.IntType(n) for n in (64, bits))
        kind = self.ir.VectorType(whole, self.lanes)
        places = self.builder.bitcast(places, kind.as_pointer())
        yes = self.ir.VectorType(self.ir.IntType(1), self.lanes)
        i32 = self.ir.IntType(32)
        align = [self.ir.Constant(i32, n // 8) for n in (bits, self.bits)]
        if mask is None:
            mask = self.ir.Constant(yes, [1] * self.lanes)
            places = self.builder.load(places, align=bits // 8)
        else:
            given = [places, align[0], mask, self.ir.Constant(kind, None)]
            name = f"masked.load.v{self.lanes}i{bits}.p0"
            places = self._named(name, kind, given)
        spread = self.ir.VectorType(wide, self.lanes)
        size = self.ir.Constant(spread, [self.bits // 8] * self.lanes)
        steps = self.builder.mul(self.builder.zext(places, spread), size)
        start = self.splat(self.builder.ptrtoint(pointer, wide))
        pointers = self.ir.VectorType(self.scalar.as_pointer(), self.lanes)
        pointers = self.builder.inttoptr(self.builder.add(start, steps), pointers)
        name = f"masked.gather.v{self.lanes}f{self.bits}.v{self.lanes}p0"
        none = self.ir.Constant(self.type, None)
        return self._named(name, self.type, [pointers, align[1], mask, none])

    def stream(self, value, pointer):
        """A vector to memory past the caches; the address is a multiple of its size."""
        store = self.builder.store(value, self._pointer(pointer))
        store.align = self.lanes * self.bits // 8
        one = self.ir.Constant(self.ir.IntType(32), 1)
        store.set_metadata("nontemporal", self.builder.module.add_metadata([one]))

    def fence(self):
        """Until here all stores are done that go past the caches."""
        self.builder.fence("seq_cst")

    def fetch(self, pointer):
        """Have memory brought to the first cache: it is read some cycles later."""
        i32, void = self.ir.IntType(32), self.ir.VoidType()
        pointer = self.builder.bitcast(pointer, self.ir.IntType(8).as_pointer())
        how = [self.ir.Constant(i32, n) for n in (0, 3, 1)]  # to read, near, data
        self._named("prefetch.p0", void, [pointer, *how])

    def load_even(self, pointer, masks):
        """Every other element of two vectors, which are read where masks allow."""
        i32 = self.ir.IntType(32)
        low, high = (
            self.load(self.at(pointer, k * self.lanes), mask)
            for k, mask in enumerate(masks)
        )
        even = self.ir.VectorType(i32, self.lanes)(list(range(0, 2 * self.lanes, 2)))
        return self.builder.shuffle_vector(low, high, even)

    def store_even(self, value, pointer, masks):
        """A vector to every other of two vectors' elements, where masks allow."""
        i1, i32 = self.ir.IntType(1), self.ir.IntType(32)
        bools = self.ir.VectorType(i1, self.lanes)
        even = bools([lane % 2 == 0 for lane in range(self.lanes)])
        for k, mask in enumerate(masks):
            first = k * self.lanes // 2
            twice = [first + lane // 2 for lane in range(self.lanes)]
            twice = self.ir.VectorType(i32, self.lanes)(twice)
            apart = self.builder.shuffle_vector(value, value, twice)
            mask = self.builder.and_(mask, even)
            self.store(apart, self.at(pointer, k * self.lanes), mask)

    def splat(self, scalar):
        """A scalar in every lane."""
        i32, kind = self.ir.IntType(32), self.ir.VectorType(scalar.type, self.lanes)
        none = self.ir.Constant(kind, self.ir.Undefined)
        one = self.builder.insert_element(none, scalar, self.ir.Constant(i32, 0))
        zeros = self.ir.Constant(self.ir.VectorType(i32, self.lanes), None)
        return self.builder.shuffle_vector(one, none, zeros)

    def register(self, value=None):
        """A variable that LLVM keeps in a register; it starts at ``value`` or zero."""
        register = self.cgutils.alloca_once(self.builder, self.type)
        value = self.ir.Constant(self.type, None) if value is None else value
        self.builder.store(value, register)
        return register

    def multiply_add(self, a, b, c):
        """``a b + c``, rounded once or twice, as the machine does it faster."""
        return self._call("fmuladd", self.type, [a, b, c])

    def add_product(self, register, a, b):
        total = self.multiply_add(a, b, self.builder.load(register))
        self.builder.store(total, register)

    def sum(self, register):
        """All lanes of a register added up."""
        numbers = [self.ir.Constant(self.scalar, 0.0), self.builder.load(register)]
        name = "vector.reduce.fadd"
        return self._call(name, self.scalar, numbers, fastmath=["reassoc"])
