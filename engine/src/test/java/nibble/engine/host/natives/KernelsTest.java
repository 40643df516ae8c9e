package nibble.engine.host.natives;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.gguf.GgufType;
import nibble.engine.backend.Workers;
import nibble.engine.host.VectorBackend;
import nibble.engine.host.natives.Kernels.Range;
import nibble.engine.host.vector.RowSource;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class KernelsTest {
    private static final int COLUMNS = 288;
    private static final int ROWS = 5;

    /** Q8_0 with a scale of 1 everywhere and codes of 1: an output is the sum of its activations. */
    private static final GgufBlocks ONES = ones();

    private static GgufBlocks ones() {
        MemorySegment data = Arena.global().allocate(GgufType.Q8_0.bytes((long) ROWS * COLUMNS));
        data.fill((byte) 1);
        for (long at = 0; at < data.byteSize(); at += 34) {
            data.set(ValueLayout.JAVA_SHORT_UNALIGNED, at, (short) 0x3c00);
        }
        return new GgufBlocks(GgufType.Q8_0, data, ROWS, COLUMNS, 0);
    }

    static List<Kernels> kernels() {
        List<Kernels> all = Kernels.all();
        assumeFalse(all.isEmpty(), "no native kernels here: " + Kernels.whyNone());
        return all;
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void outputs_outside_of_the_range_stay_as_they_are(Kernels kernels) {
        float[] x = new float[2 * COLUMNS];
        Arrays.fill(x, 2f);
        float[] out = new float[2 * ROWS];
        Arrays.fill(out, Float.NaN);

        kernels.rows(ONES, ONES.data().address(), new Range(1, 3, 1, 1), kernels.prepare(ONES, new Inputs(x, 2)), out);

        assertThat(out[6]).isEqualTo(2f * COLUMNS);
        assertThat(out[7]).isEqualTo(2f * COLUMNS);
        out[6] = out[7] = Float.NaN;
        assertThat(out).containsOnly(Float.NaN);
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void weights_whose_file_was_cut_short_are_an_error_and_others_stay_usable(Kernels kernels, @TempDir Path folder)
            throws IOException {
        assumeTrue(Kernels.surviveCuts(), "a system that lets kernels survive it");
        int columns = 4096;
        Path file = folder.resolve("weights");
        Files.write(file, new byte[(int) GgufType.Q8_0.bytes(64L * columns)]);
        try (Arena arena = Arena.ofShared();
                FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            MemorySegment data = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
            GgufBlocks matrix = new GgufBlocks(GgufType.Q8_0, data, 64, columns, 0);
            Prepared x = kernels.prepare(matrix, new Inputs(new float[columns], 1));
            channel.truncate(3 * 4352);

            kernels.rows(matrix, data.address(), new Range(0, 3, 0, 1), x, new float[64]);
            assertThatThrownBy(() -> kernels.rows(matrix, data.address(), new Range(0, 64, 0, 1), x, new float[64]))
                    .isInstanceOf(InternalError.class)
                    .hasMessageContaining("was cut short");
        }
        float[] out = new float[ROWS];
        kernels.rows(
                ONES,
                ONES.data().address(),
                new Range(0, ROWS, 0, 1),
                kernels.prepare(ONES, new Inputs(new float[COLUMNS], 1)),
                out);
        assertThat(out).containsOnly(0f);
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void an_activation_that_is_no_number_makes_every_output_none(Kernels kernels) {
        for (float poison : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
            float[] x = new float[COLUMNS];
            x[COLUMNS - 3] = poison;
            float[] out = new float[ROWS];

            kernels.rows(
                    ONES,
                    ONES.data().address(),
                    new Range(0, ROWS, 0, 1),
                    kernels.prepare(ONES, new Inputs(x, 1)),
                    out);

            for (float value : out) {
                assertThat(Float.isFinite(value)).isFalse();
            }
        }
    }

    /** Sums of bytes times codes must not leave the integers that hold them. */
    @ParameterizedTest
    @MethodSource("kernels")
    void the_greatest_codes_times_the_greatest_activations_are_exact_but_for_the_scale(Kernels kernels) {
        int outputs = 200;
        MemorySegment memory = Arena.global().allocate(64L * outputs, 64);
        long zeros = memory.address() + 16L * outputs;
        long scales = zeros + outputs / 2;
        memory.asSlice(16L * outputs + outputs / 2, 2L * outputs)
                .copyFrom(MemorySegment.ofArray(shorts(outputs, 0x3c00)));
        CodeMatrix matrix =
                new CodeMatrix(CodeMatrix.Layout.AWQ, memory.address(), zeros, scales, false, outputs, 1, 32);
        for (float x : new float[] {3, -3}) {
            float[] values = new float[32];
            Arrays.fill(values, x);
            for (int code : new int[] {0, 15}) {
                memory.asSlice(0, 16L * outputs).fill((byte) (code * 17));
                for (int zero : new int[] {0, 15}) {
                    memory.asSlice(16L * outputs, outputs / 2).fill((byte) (zero * 17));
                    float[] out = new float[outputs];
                    try (Inputs inputs = new Inputs(values, 1)) {
                        kernels.codes(
                                matrix,
                                new Range(0, outputs, 0, 1),
                                CodeMatrix.Groups.all(matrix, 1),
                                kernels.prepare(matrix, inputs),
                                MemorySegment.NULL,
                                out);
                    }
                    for (float value : out) {
                        assertThat(value).isCloseTo(32 * x * (code - zero), within(1e-3f));
                    }
                }
            }
        }
    }

    private static short[] shorts(int count, int value) {
        short[] all = new short[count];
        Arrays.fill(all, (short) value);
        return all;
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void what_does_not_fit_is_refused_before_the_call(Kernels kernels) {
        long address = ONES.data().address();
        Prepared x = kernels.prepare(ONES, new Inputs(new float[COLUMNS], 1));
        float[] out = new float[ROWS];
        for (Range range : List.of(
                new Range(0, ROWS + 1, 0, 1),
                new Range(-1, 2, 0, 1),
                new Range(3, 2, 0, 1),
                new Range(0, ROWS, 1, 1),
                new Range(0, ROWS, 0, 2),
                new Range(0, ROWS, -1, 1),
                new Range(0, ROWS, Integer.MAX_VALUE, 1))) {
            assertThatThrownBy(() -> kernels.rows(ONES, address, range, x, out))
                    .as(range.toString())
                    .isInstanceOfAny(IndexOutOfBoundsException.class, ArithmeticException.class);
        }
        assertThatThrownBy(() -> kernels.rows(ONES, address, new Range(0, ROWS, 0, 1), x, new float[ROWS - 1]))
                .isInstanceOf(IndexOutOfBoundsException.class);
        for (Kernels other : kernels()) {
            if (other.activations() != kernels.activations()) {
                Prepared another = other.prepare(ONES, new Inputs(new float[COLUMNS], 1));
                assertThatThrownBy(() -> kernels.rows(ONES, address, new Range(0, ROWS, 0, 1), another, out))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageContaining("prepared for other kernels");
            }
        }
        assertThatThrownBy(() -> kernels.prepare(ONES, new Inputs(new float[COLUMNS - 1], 1)))
                .isInstanceOf(IndexOutOfBoundsException.class);
        GgufBlocks odd = new GgufBlocks(GgufType.Q8_0, ONES.data(), 1, 33, 0);
        assertThatThrownBy(() -> kernels.prepare(odd, new Inputs(new float[33], 1)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("33 columns");
    }

    /** The memory of prepared rows goes to the next inputs, whatever it held. */
    @ParameterizedTest
    @MethodSource("kernels")
    void products_do_not_depend_on_what_their_memory_held_before(Kernels kernels) {
        float[] x = new float[COLUMNS];
        Arrays.fill(x, 2f);
        for (float before : new float[] {Float.NaN, 1f}) {
            float[] poison = new float[3 * 2048];
            Arrays.fill(poison, before);
            GgufBlocks wide = new GgufBlocks(GgufType.Q8_0, ONES.data(), 0, 2048, 0);
            try (Inputs inputs = new Inputs(poison, 3)) {
                kernels.prepare(wide, inputs);
            }
            float[] out = new float[ROWS];
            try (Inputs inputs = new Inputs(x, 1)) {
                Prepared prepared = kernels.prepare(ONES, inputs);
                kernels.rows(ONES, ONES.data().address(), new Range(0, ROWS, 0, 1), prepared, out);
            }
            assertThat(out).containsOnly(2f * COLUMNS);
        }
    }

    /** Sizes around those of a tile, a panel, and a part of the depth; the sum of exact products is exact here. */
    @Test
    void tiles_give_exact_products_and_touch_nothing_else() {
        assumeTrue(Tiles.EXIST, "no AMX here");
        Random random = new Random(7);
        TileGemm gemm = new TileGemm();
        for (int threads : new int[] {1, 3}) {
            try (Workers workers = new Workers(threads)) {
                for (int[] s : new int[][] {{1, 1, 1}, {17, 33, 40}, {33, 257, 300}, {530, 31, 70}, {16, 512, 257}}) {
                    int m = s[0];
                    int k = s[1];
                    int n = s[2];
                    float[] a = integers(random, m * k);
                    float[] b = integers(random, n * k);
                    float[] c = new float[m * n + 1];
                    Arrays.fill(c, Float.NaN);

                    gemm.multiply(workers, a, m, k, PanelSource.rows(RowSource.of(b, k)), n, c);

                    for (int i = 0; i < m * n; i++) {
                        int sum = 0;
                        for (int l = 0; l < k; l++) {
                            sum += (int) a[i / n * k + l] * (int) b[i % n * k + l];
                        }
                        assertThat(c[i]).as("%d of %s", i, Arrays.toString(s)).isEqualTo(sum);
                    }
                    assertThat(c[m * n]).isNaN();
                }
            }
        }
    }

    /** Sizes around those of a tile, a panel, a task and a part of the depth; all numbers here are exact. */
    @ParameterizedTest
    @MethodSource("kernels")
    void many_rows_of_bytes_give_exact_products_and_touch_nothing_else(Kernels kernels) {
        assumeTrue(kernels.multipliesManyBytes(), "AMX or AVX2");
        Random random = new Random(7);
        ByteGemm gemm = new ByteGemm(kernels);
        for (int threads : new int[] {1, 3}) {
            try (Workers workers = new Workers(threads)) {
                for (int[] s : new int[][] {{1, 32, 1}, {17, 288, 33}, {530, 64, 70}, {16, 512, 300}, {65, 256, 129}}) {
                    int m = s[0];
                    int k = s[1];
                    int n = s[2];
                    float[] a = integers(random, m * k);
                    for (int i = 0; i < a.length; i += 32) {
                        a[i] = 127;
                    }
                    MemorySegment data = Arena.global().allocate(GgufType.Q8_0.bytes((long) n * k));
                    float[] b = integers(random, n * k);
                    b[0] = b[1] = -128;
                    for (int i = 0; i < b.length; i++) {
                        if (i % 32 == 0) {
                            data.set(ValueLayout.JAVA_SHORT_UNALIGNED, i / 32 * 34L, (short) 0x3c00);
                        }
                        data.set(ValueLayout.JAVA_BYTE, i / 32 * 34L + 2 + i % 32, (byte) b[i]);
                    }
                    GgufBlocks matrix = new GgufBlocks(GgufType.Q8_0, data, n, k, 0);
                    float[] c = new float[m * n + 1];
                    Arrays.fill(c, Float.NaN);

                    gemm.multiply(
                            workers,
                            a,
                            m,
                            k,
                            List.of(new ByteGemm.Product(new ByteMatrix.Blocks(matrix, data.address()), c)));

                    for (int i = 0; i < m * n; i++) {
                        int sum = 0;
                        for (int l = 0; l < k; l++) {
                            sum += (int) a[i / n * k + l] * (int) b[i % n * k + l];
                        }
                        assertThat(c[i]).as("%d of %s", i, Arrays.toString(s)).isEqualTo(sum);
                    }
                    assertThat(c[m * n]).isNaN();
                }
            }
        }
    }

    private static float[] integers(Random random, int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = random.nextInt(-100, 100);
        }
        return values;
    }

    @Test
    void without_a_folder_that_allows_libraries_the_vector_api_computes_and_says_why(@TempDir Path folder)
            throws Exception {
        assumeFalse(Kernels.all().isEmpty(), "no native kernels here: " + Kernels.whyNone());
        Path file = Files.createFile(folder.resolve("file"));
        ProcessBuilder builder = java(file, "-Djava.io.tmpdir=" + file.resolve("below"));
        builder.environment().put("NIBBLE_CACHE", file.resolve("below").toString());
        assertThat(output(builder)).contains(", no native kernels: ").contains(file.toString());

        assertThat(output(java(folder, "-Dnibble.native=off"))).contains(", no native kernels: switched off");
        ProcessBuilder off = java(folder, "-Djava.io.tmpdir=" + folder);
        off.environment().put("NIBBLE_NATIVE", "off");
        assertThat(output(off)).contains(", no native kernels: switched off");
    }

    @Test
    void a_library_loaded_from_the_temporary_folder_leaves_no_file_there(@TempDir Path folder) throws Exception {
        assumeFalse(Kernels.all().isEmpty(), "no native kernels here: " + Kernels.whyNone());
        ProcessBuilder builder = java(folder, "-Djava.io.tmpdir=" + folder);
        builder.environment().put("NIBBLE_CACHE", folder.resolve("cache").toString());

        assertThat(output(builder)).contains("native kernels for ");

        try (Stream<Path> left = Files.walk(folder)) {
            assertThat(left.filter(path -> !path.equals(folder))).isEmpty();
        }
    }

    /** Prints what a backend of the CPU says of itself. */
    public static final class Describe {
        private Describe() {}

        public static void main(String[] arguments) {
            try (VectorBackend backend = new VectorBackend(1)) {
                System.out.println(backend.description());
            }
        }
    }

    private static ProcessBuilder java(Path folder, String property) {
        return new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--add-modules=jdk.incubator.vector",
                        "--enable-native-access=ALL-UNNAMED",
                        "-XX:-UsePerfData",
                        "-Duser.home=" + folder,
                        property,
                        "-cp",
                        System.getProperty("java.class.path"),
                        Describe.class.getName())
                .redirectErrorStream(true);
    }

    private static String output(ProcessBuilder builder) throws IOException, InterruptedException {
        Process process = builder.start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(output).isZero();
        return output;
    }
}
