package nibble.engine.cuda.driver;

import static nibble.engine.cuda.driver.ForeignFunctions.INT;
import static nibble.engine.cuda.driver.ForeignFunctions.LONG;
import static nibble.engine.cuda.driver.ForeignFunctions.POINTER;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.List;
import nibble.engine.backend.DeviceException;

/** Runs NVIDIA's matrix products on one stream. Owns its handle; borrows stream and workspace. */
public final class Cublas implements AutoCloseable {
    /** Rows of a second moment that are summed at a time, from the diagonal on. */
    public static final int STRIP = 2048;

    /** Lists element types by their number in {@code cudaDataType_t}. */
    public enum Type {
        F32(0),
        F16(2);

        private final int code;

        Type(int code) {
            this.code = code;
        }
    }

    private static final int NOT_TRANSPOSED = 0;
    private static final int TRANSPOSED = 1;
    private static final int DEFAULT_ALGORITHM = -1;
    /** Partial sums of a split product stay fp32 too. */
    private static final int NO_REDUCED_PRECISION_REDUCTION = 16;

    private final MethodHandle destroy;
    private final MethodHandle gemm;
    private final MethodHandle batchedGemm;
    private final MethodHandle statusString;
    private final MethodHandle getVersion;
    private final long handle;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment one = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 1f);
    private final MemorySegment minusOne = arena.allocateFrom(ValueLayout.JAVA_FLOAT, -1f);
    private final MemorySegment zero = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 0f);

    /**
     * Makes a handle of the library.
     *
     * @param stream handle of the stream that products run on
     * @param workspace device memory the library may use, 256-byte aligned
     * @throws DeviceException if the library is not there or refuses
     */
    public Cublas(long stream, long workspace, long workspaceBytes) {
        ForeignFunctions cublas = new ForeignFunctions("libcublas", CudaLibraries.load("cublas", List.of("cublasLt")));
        statusString = cublas.function("cublasGetStatusString", FunctionDescriptor.of(POINTER, INT));
        getVersion = cublas.function("cublasGetVersion_v2", LONG, POINTER);
        destroy = cublas.function("cublasDestroy_v2", LONG);
        gemm = cublas.function(
                "cublasGemmEx",
                LONG,
                INT,
                INT,
                INT,
                INT,
                INT,
                POINTER,
                LONG,
                INT,
                INT,
                LONG,
                INT,
                INT,
                POINTER,
                LONG,
                INT,
                INT,
                INT,
                INT);
        batchedGemm = cublas.function(
                "cublasGemmStridedBatchedEx",
                LONG,
                INT,
                INT,
                INT,
                INT,
                INT,
                POINTER,
                LONG,
                INT,
                INT,
                LONG,
                LONG,
                INT,
                INT,
                LONG,
                POINTER,
                LONG,
                INT,
                INT,
                LONG,
                INT,
                INT,
                INT);
        MethodHandle create = cublas.function("cublasCreate_v2", POINTER);
        MethodHandle setStream = cublas.function("cublasSetStream_v2", LONG, LONG);
        MethodHandle setWorkspace = cublas.function("cublasSetWorkspace_v2", LONG, LONG, LONG);
        MethodHandle setMathMode = cublas.function("cublasSetMathMode", LONG, INT);
        try {
            MemorySegment created = arena.allocate(LONG);
            check("creating a handle", (int) create.invokeExact(created));
            handle = created.get(LONG, 0);
            check("setting the stream", (int) setStream.invokeExact(handle, stream));
            check("setting the workspace", (int) setWorkspace.invokeExact(handle, workspace, workspaceBytes));
            check("setting the math mode", (int) setMathMode.invokeExact(handle, NO_REDUCED_PRECISION_REDUCTION));
        } catch (Throwable e) {
            throw ForeignFunctions.unexpected(e);
        }
    }

    /** Returns the version, as 130002 for 13.0.2: another one may sum in another order. */
    public int version() {
        try (Arena call = Arena.ofConfined()) {
            MemorySegment version = call.allocate(INT);
            check("reading the version", (int) getVersion.invokeExact(handle, version));
            return version.get(INT, 0);
        } catch (Throwable e) {
            throw ForeignFunctions.unexpected(e);
        }
    }

    /**
     * Computes {@code out[m, n] = (accumulate ? out : 0) + Σ_k a[m, k] b[n, k]}, all row-major, addresses of device
     * memory.
     *
     * @param aStride elements from a row of a to the next; the other strides likewise
     */
    public void multiplyTransposed(
            int m,
            int n,
            int k,
            long a,
            Type aType,
            int aStride,
            long b,
            int bStride,
            long out,
            Type outType,
            int outStride,
            boolean accumulate) {
        // Row-major is column-major transposed: outᵀ[n, m] = b[n, k] aᵀ[k, m].
        gemm(
                TRANSPOSED,
                NOT_TRANSPOSED,
                n,
                m,
                k,
                new Floats(b, bStride),
                new Floats(a, aStride),
                aType,
                new Floats(out, outStride),
                outType,
                Precision.SINGLE,
                Into.adding(accumulate));
    }

    /**
     * Does what {@link #multiplyTransposed} does, for {@code batch} products of fp16 with fp32 results.
     *
     * @param aStep elements from one a to the next; the other steps likewise
     */
    public void multiplyTransposed(
            int batch,
            int m,
            int n,
            int k,
            long a,
            int aStride,
            long aStep,
            long b,
            int bStride,
            long bStep,
            long out,
            int outStride,
            long outStep) {
        batched(
                TRANSPOSED,
                NOT_TRANSPOSED,
                n,
                m,
                k,
                new Floats(b, bStride, bStep),
                new Floats(a, aStride, aStep),
                Type.F16,
                new Floats(out, outStride, outStep),
                Precision.SINGLE,
                Into.SET,
                batch);
    }

    private void batched(
            int transA,
            int transB,
            int m,
            int n,
            int k,
            Floats a,
            Floats b,
            Type type,
            Floats c,
            Precision precision,
            Into into,
            int batch) {
        try {
            check(batch + " products of " + m + " x " + n + " x " + k, (int) batchedGemm.invokeExact(
                    handle,
                    transA,
                    transB,
                    m,
                    n,
                    k,
                    alpha(into),
                    a.address(),
                    type.code,
                    a.stride(),
                    a.step(),
                    b.address(),
                    type.code,
                    b.stride(),
                    b.step(),
                    beta(into),
                    c.address(),
                    Type.F32.code,
                    c.stride(),
                    c.step(),
                    batch,
                    precision.code(),
                    DEFAULT_ALGORITHM));
        } catch (Throwable e) {
            throw ForeignFunctions.unexpected(e);
        }
    }

    /**
     * Computes {@code out[m, n] = Σ_k a[m, k] b[n, k]}, or adds it to {@code out} or subtracts it from there.
     *
     * @param into what becomes of the product
     */
    public void singleTransposed(Precision precision, Into into, int m, int n, int k, Floats a, Floats b, Floats out) {
        single(precision, into, 1, m, n, k, a, b.turned(), out);
    }

    /** Does what {@link #singleTransposed} does with {@code b[k, n]}: {@code out[m, n] = Σ_k a[m, k] b[k, n]}. */
    public void single(Precision precision, Into into, int m, int n, int k, Floats a, Floats b, Floats out) {
        single(precision, into, 1, m, n, k, a, b, out);
    }

    /**
     * Does what {@link #single} does for a batch of products of one shape.
     *
     * @param a as it lies [m, k], or [k, m] where its transpose is meant
     * @param b as it lies [k, n], or [n, k] where its transpose is meant
     */
    public void single(Precision precision, Into into, int batch, int m, int n, int k, Floats a, Floats b, Floats out) {
        // Row-major is column-major transposed: outᵀ[n, m] = bᵀ[n, k] aᵀ[k, m].
        if (batch == 1) {
            gemm(b.operation(), a.operation(), n, m, k, b, a, Type.F32, out, Type.F32, precision, into);
        } else {
            batched(b.operation(), a.operation(), n, m, k, b, a, Type.F32, out, precision, into, batch);
        }
    }

    /** Computes {@code out[m, n] (+)= Σ_t y[t, m]ᵀ x[t, n]}: fp16 with fp32 results. */
    public void crossMoment(int m, int n, int tokens, long y, long x, long out, boolean accumulate) {
        Into into = Into.adding(accumulate);
        gemm(
                NOT_TRANSPOSED,
                TRANSPOSED,
                n,
                m,
                tokens,
                new Floats(x, n),
                new Floats(y, m),
                Type.F16,
                new Floats(out, n),
                Type.F32,
                Precision.SINGLE,
                into);
    }

    /**
     * Computes {@code out[n, n] (+)= Σ_t x[t, n]ᵀ x[t, n]}, from the diagonal on only: strips of {@link #STRIP} rows,
     * each from its first column on.
     */
    public void addSecondMoment(int tokens, int columns, long x, long out, boolean accumulate) {
        for (int first = 0; first < columns; first += STRIP) {
            int count = Math.min(STRIP, columns - first);
            addStrip(tokens, columns, x, first, count, out, accumulate);
        }
    }

    private void addStrip(int tokens, int columns, long x, int first, int count, long out, boolean accumulate) {
        long left = x + 2L * first;
        // Column-major view: outᵀ[columns - first, count] += xᵀ[.., t] x[t, ..]; out is symmetric.
        Floats rows = new Floats(left, columns);
        gemm(
                NOT_TRANSPOSED,
                TRANSPOSED,
                columns - first,
                count,
                tokens,
                rows,
                rows,
                Type.F16,
                new Floats(out + 4L * ((long) first * columns + first), columns),
                Type.F32,
                Precision.SINGLE,
                Into.adding(accumulate));
    }

    private void gemm(
            int transA,
            int transB,
            int m,
            int n,
            int k,
            Floats a,
            Floats b,
            Type type,
            Floats c,
            Type cType,
            Precision precision,
            Into into) {
        if (m == 0 || n == 0) {
            return;
        }
        try {
            check("product of " + m + " x " + n + " x " + k, (int) gemm.invokeExact(
                    handle,
                    transA,
                    transB,
                    m,
                    n,
                    k,
                    alpha(into),
                    a.address(),
                    type.code,
                    a.stride(),
                    b.address(),
                    type.code,
                    b.stride(),
                    beta(into),
                    c.address(),
                    cType.code,
                    c.stride(),
                    precision.code(),
                    DEFAULT_ALGORITHM));
        } catch (Throwable e) {
            throw ForeignFunctions.unexpected(e);
        }
    }

    private MemorySegment alpha(Into into) {
        return into == Into.SUBTRACT ? minusOne : one;
    }

    private MemorySegment beta(Into into) {
        return into == Into.SET ? zero : one;
    }

    private void check(String what, int status) {
        if (status != 0) {
            try {
                MemorySegment text = (MemorySegment) statusString.invokeExact(status);
                throw new DeviceException(
                        "cuBLAS, " + what + ": " + text.reinterpret(256).getString(0));
            } catch (Throwable e) {
                throw ForeignFunctions.unexpected(e);
            }
        }
    }

    @Override
    public void close() {
        try {
            check("destroying a handle", (int) destroy.invokeExact(handle));
        } catch (Throwable e) {
            throw ForeignFunctions.unexpected(e);
        }
        arena.close();
    }
}
