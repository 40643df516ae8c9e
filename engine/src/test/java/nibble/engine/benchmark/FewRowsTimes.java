package nibble.engine.benchmark;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.Locale;
import java.util.Random;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.gguf.GgufType;
import nibble.engine.host.natives.Inputs;
import nibble.engine.host.natives.Kernels;
import nibble.engine.host.stored.FewRows;
import nibble.engine.tensor.AwqWeight;
import nibble.engine.tensor.BlockWeight;
import nibble.engine.tensor.StoredWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import nibble.pack.layout.AwqLayout;
import nibble.pack.layout.StoredCodes;

/**
 * Prints how many weights a second a core multiplies by one row, for each form in which files hold them: 1024 rows of
 * 4096, which the cache holds. By the thread's processor time, so that other work on the machine matters less. Run from
 * the test class path with {@code --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED}.
 */
final class FewRowsTimes {
    private static final int ROWS = 1024;
    private static final int COLUMNS = 4096;
    private static final int GROUP = 128;
    private static final double SECONDS = 2.5;

    private final ThreadMXBean clock = ManagementFactory.getThreadMXBean();
    private final Random random = new Random(1);

    public static void main(String[] arguments) {
        FewRowsTimes times = new FewRowsTimes();
        for (GgufType type : GgufType.values()) {
            if (type.isRead()) {
                MemorySegment data = times.bytes(type.bytes((long) ROWS * COLUMNS));
                times.print(type.name(), new BlockWeight(type.name(), new GgufBlocks(type, data, ROWS, COLUMNS, 0)));
            }
        }
        QuantizationSpec spec = new QuantizationSpec(4, GROUP);
        MemorySegment codes = times.bytes(ROWS * COLUMNS / 2);
        MemorySegment zeros = times.bytes(ROWS * (COLUMNS / GROUP) / 2);
        MemorySegment scales = times.bytes(2L * ROWS * (COLUMNS / GROUP));
        times.print(
                "AWQ",
                new AwqWeight(new AwqLayout.AwqLinear(
                        "awq", ROWS, COLUMNS, spec, new AwqLayout.AwqTensors(codes, zeros, scales))));
        for (boolean byRows : new boolean[] {false, true}) {
            times.print(
                    byRows ? "compressed-tensors" : "GPTQ",
                    new StoredWeight(new StoredCodes("w", ROWS, COLUMNS, spec, byRows, codes, zeros, scales, false)));
        }
    }

    /** No two fp16 numbers of these are infinite or NaN. */
    private MemorySegment bytes(long count) {
        MemorySegment data = Arena.global().allocate(count, 64);
        for (long i = 0; i + 8 <= count; i += 8) {
            data.set(ValueLayout.JAVA_LONG, i, random.nextLong() & 0x3fff3fff3fff3fffL);
        }
        return data;
    }

    private void print(String name, Weight weight) {
        float[] x = new float[COLUMNS];
        for (int i = 0; i < x.length; i++) {
            x[i] = (float) random.nextGaussian();
        }
        float[] out = new float[ROWS];
        FewRows kernel = FewRows.of(weight, 2, Kernels.ofMachine());
        double best = Double.POSITIVE_INFINITY;
        long begin = System.nanoTime();
        while (System.nanoTime() - begin < SECONDS * 1e9) {
            long start = clock.getCurrentThreadCpuTime();
            try (Inputs inputs = new Inputs(x, 1)) {
                FewRows.Product product = kernel.prepare(inputs, ROWS);
                product.run(0, kernel.pieces(1), out);
                product.finish(0, ROWS, out);
            }
            best = Math.min(best, (clock.getCurrentThreadCpuTime() - start) / 1e9);
        }
        System.out.printf(Locale.ROOT, "%-18s %6.2f billion weights/s%n", name, (double) ROWS * COLUMNS / best / 1e9);
    }
}
