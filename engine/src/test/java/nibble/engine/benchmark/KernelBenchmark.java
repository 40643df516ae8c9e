package nibble.engine.benchmark;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorView;
import nibble.engine.attention.AttentionShape;
import nibble.engine.host.VectorBackend;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.QuantizedWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.options.OptionsBuilder;

/**
 * The kernels of {@link VectorBackend} beside the machine's FMA peak, in GFLOP/s.
 *
 * <p>Not run by the tests. From the top folder, with JDK 25 as {@code java}:
 *
 * <pre>
 * mvn -q test-compile
 * mvn -q -pl engine dependency:build-classpath -Dmdep.outputFile=target/classpath
 * java --add-modules=jdk.incubator.vector -cp engine/target/test-classes:engine/target/classes:$(cat
 * engine/target/classpath) \
 *     nibble.engine.benchmark.KernelBenchmark
 * </pre>
 *
 * {@link #main} turns JMH's microseconds into GFLOP/s; {@code fmaPeak} is of one thread whatever the parameter says.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(
        value = 1,
        jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "-Xmx2g", "-XX:+UseParallelGC"})
@Warmup(iterations = 5, time = 1)
@Measurement(iterations = 5, time = 1)
public class KernelBenchmark {
    private static final int TOKENS = 1024;
    private static final int FEATURES = 1024;
    /** Of one product of TOKENS x FEATURES by FEATURES x FEATURES. */
    private static final long PRODUCT_FLOPS = 2L * TOKENS * FEATURES * FEATURES;

    private static final int CHAINS = 16;
    private static final int PEAK_STEPS = 1 << 16;

    @Param({"1", "2"})
    int threads = 1;

    private VectorBackend backend = new VectorBackend(1);
    private Matrix x = backend.allocate(1, 1);
    private Matrix out = backend.allocate(1, 1);
    private Matrix square = backend.allocate(1, 1);
    private Weight half = new DenseWeight(tensor(DType.F16, 1, 1));
    private Weight single = half;
    private Weight nibbles = half;

    @Setup(Level.Trial)
    public void open() {
        backend = new VectorBackend(threads);
        Random random = new Random(1);
        float[] values = new float[TOKENS * FEATURES];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        x = backend.upload(values, TOKENS, FEATURES);
        out = backend.allocate(TOKENS, FEATURES);
        square = backend.allocate(FEATURES, FEATURES);
        half = new DenseWeight(tensor(DType.F16, FEATURES, FEATURES));
        single = new DenseWeight(tensor(DType.F32, FEATURES, FEATURES));
        byte[] codes = new byte[FEATURES * FEATURES / 2];
        random.nextBytes(codes);
        short[] scales = new short[FEATURES * FEATURES / 128];
        java.util.Arrays.fill(scales, Float.floatToFloat16(0.01f));
        nibbles = new QuantizedWeight(new QuantizedLinear(
                FEATURES, FEATURES, new QuantizationSpec(4, 128), codes, new byte[scales.length], scales));
    }

    @TearDown(Level.Trial)
    public void close() {
        backend.close();
    }

    @Benchmark
    public void gemmF16() {
        backend.linear(half, x, out);
    }

    @Benchmark
    public void gemmF32() {
        backend.linear(single, x, out);
    }

    @Benchmark
    public void gemmInt4() {
        backend.linear(nibbles, x, out);
    }

    @Benchmark
    public void secondMoment() {
        backend.addSecondMoment(x, square);
    }

    /** 16 heads of 64, causal. */
    @Benchmark
    public void attention() {
        backend.attention(new AttentionShape(16, 16, 64), 1, x, 0, x, x, out);
    }

    /** One thread, no memory: {@value #CHAINS} independent chains of multiply-adds. */
    @Benchmark
    public float fmaPeak() {
        var species = FloatVector.SPECIES_PREFERRED;
        FloatVector f = FloatVector.broadcast(species, 0.5f);
        FloatVector a = f, b = f, c = f, d = f, e = f, g = f, h = f, i = f;
        FloatVector j = f, k = f, l = f, m = f, n = f, o = f, p = f, q = f;
        for (int step = 0; step < PEAK_STEPS; step++) {
            a = a.fma(f, f);
            b = b.fma(f, f);
            c = c.fma(f, f);
            d = d.fma(f, f);
            e = e.fma(f, f);
            g = g.fma(f, f);
            h = h.fma(f, f);
            i = i.fma(f, f);
            j = j.fma(f, f);
            k = k.fma(f, f);
            l = l.fma(f, f);
            m = m.fma(f, f);
            n = n.fma(f, f);
            o = o.fma(f, f);
            p = p.fma(f, f);
            q = q.fma(f, f);
        }
        FloatVector left = a.add(b).add(c).add(d).add(e).add(g).add(h).add(i);
        return left.add(j).add(k).add(l).add(m).add(n).add(o).add(p).add(q).reduceLanes(VectorOperators.ADD);
    }

    private static long flops(String benchmark) {
        return switch (benchmark) {
            case "fmaPeak" -> 2L * CHAINS * PEAK_STEPS * FloatVector.SPECIES_PREFERRED.length();
            case "secondMoment" -> PRODUCT_FLOPS / 2;
            // Scores and weighted sum, each 2 x 16 x 64 a pair of tokens, half the pairs hidden.
            case "attention" -> 2L * TOKENS * TOKENS * FEATURES;
            default -> PRODUCT_FLOPS;
        };
    }

    private static TensorView tensor(DType type, int rows, int columns) {
        MemorySegment data = Arena.ofAuto().allocate((long) rows * columns * type.bytes());
        Random random = new Random(2);
        for (int i = 0; i < rows * columns; i++) {
            float value = (float) random.nextGaussian();
            if (type == DType.F32) {
                data.set(ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN), 4L * i, value);
            } else {
                data.set(
                        ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN),
                        2L * i,
                        Float.floatToFloat16(value));
            }
        }
        return new TensorView("random", type, Shape.of(rows, columns), data);
    }

    public static void main(String[] arguments) throws Exception {
        var options = new OptionsBuilder()
                .include(KernelBenchmark.class.getName() + "\\.")
                .build();
        for (RunResult result : new Runner(options).run()) {
            String name = result.getPrimaryResult().getLabel();
            double microseconds = result.getPrimaryResult().getScore();
            System.out.printf(
                    Locale.ROOT,
                    "%-14s %s thread(s) %8.1f GFLOP/s%n",
                    name,
                    result.getParams().getParam("threads"),
                    flops(name) / microseconds / 1e3);
        }
    }
}
