package nibble.engine.cuda.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.engine.backend.Backend;
import nibble.engine.backend.DeviceException;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.cuda.CudaBackend;
import nibble.engine.cuda.group.CudaGroup;
import nibble.engine.host.quantize.ScaledLinear;
import nibble.engine.quantize.Basis;
import nibble.engine.quantize.Clip;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.LayerFeed;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Quantizing on a card against quantizing on the host; skipped, with the reason, where there is none. */
@Tag("gpu")
class CudaQuantizerTest {
    static final Path FILE = Path.of("weights");
    /** Unit roundoff of fp16. */
    static final double HALF = 0x1p-11;

    @BeforeEach
    void card() {
        String missing = CudaBackend.missing();
        Assumptions.assumeTrue(missing.isEmpty(), missing);
    }

    static CudaBackend open() {
        return CudaBackend.open(0, Long.MAX_VALUE, 2);
    }

    static float[] halves(Random random, int n, double deviation) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            // Some far from the others, as in real models.
            double size = random.nextInt(200) == 0 ? 20 * deviation : deviation;
            values[i] = Float.float16ToFloat(Float.floatToFloat16((float) (random.nextGaussian() * size)));
        }
        return values;
    }

    private static float[] factors(Random random, int n) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = (float) Math.exp(random.nextGaussian());
        }
        return values;
    }

    /** Activations whose channels differ a thousandfold in size, two of which are always 0. */
    static float[] inputs(Random random, int rows, int columns) {
        float[] x = new float[rows * columns];
        for (int j = 0; j < columns; j++) {
            double size = j == 1 || j == columns - 1 ? 0 : Math.exp(1.2 * random.nextGaussian());
            for (int t = 0; t < rows; t++) {
                x[t * columns + j] =
                        Float.float16ToFloat(Float.floatToFloat16((float) (size * (random.nextGaussian() + 0.3))));
            }
        }
        return x;
    }

    private static float[] limits(ScaledLinear linear, QuantizationSpec spec, Random random) {
        int length = spec.columnsPerGroup(linear.inFeatures());
        int groups = linear.inFeatures() / length;
        float[] limits = new float[linear.outFeatures() * groups];
        float[] row = new float[linear.inFeatures()];
        for (int r = 0; r < linear.outFeatures(); r++) {
            linear.scaledRow(r, row, 0);
            for (int g = 0; g < groups; g++) {
                float largest = 0;
                for (int i = g * length; i < (g + 1) * length; i++) {
                    largest = Math.max(largest, Math.abs(row[i]));
                }
                limits[r * groups + g] =
                        random.nextInt(3) == 0 ? Float.POSITIVE_INFINITY : largest * (0.5f + 0.5f * random.nextFloat());
            }
        }
        return limits;
    }

    @ParameterizedTest
    @CsvSource({
        "72, 384, 128, false",
        "40, 192, 64, false",
        "48, 224, 32, false",
        "24, 88, -1, false",
        "16, 4352, 128, false",
        "8, 2080, -1, false",
        "40, 192, 64, true",
        "24, 88, -1, true"
    })
    void roundsToTheBitsOfTheHostAndJudgesAsItDoes(int rows, int in, int groupSize, boolean symmetric) {
        Random random = new Random(rows);
        QuantizationSpec spec = new QuantizationSpec(4, groupSize, symmetric);
        try (Both both = new Both(rows, in, spec, random)) {
            List<Basis> bases = List.of(
                    Basis.ORIGINAL,
                    Basis.ofColumns(factors(random, in)),
                    new Basis(factors(random, rows), factors(random, in)));
            for (Basis basis : bases) {
                float[] limits = limits(both.host.in(basis), spec, random);
                for (float[] clip : Arrays.asList(null, limits)) {
                    QuantizedLinear found = both.device.quantize(basis, clip);
                    QuantizedLinear expected = both.host.quantize(basis, clip);
                    assertThat(found.codes()).isEqualTo(expected.codes());
                    assertThat(found.zeros()).isEqualTo(expected.zeros());
                    assertThat(found.scales()).isEqualTo(expected.scales());
                    assertThat(both.device.weightError(basis, clip))
                            .isCloseTo(
                                    both.host.weightError(basis, clip),
                                    within(1e-5 * both.host.weightError(basis, clip)));
                    double[] errors = both.device.errors(basis, clip, both.onDevice);
                    double[] reference = both.host.errors(basis, clip, both.onHost);
                    double[] bounds = both.bounds(basis, spec, clip);
                    for (int row = 0; row < rows; row++) {
                        assertThat(errors[row]).as("row %d", row).isCloseTo(reference[row], within(bounds[row]));
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"72, 384, 128", "24, 88, -1", "16, 4352, 128"})
    void measuresInputsAndWeightsAsTheHostDoes(int rows, int in, int groupSize) {
        Random random = new Random(in);
        QuantizationSpec spec = new QuantizationSpec(4, groupSize);
        try (Both both = new Both(rows, in, spec, random)) {
            assertThat(both.onDevice.rows()).isEqualTo(both.onHost.rows()).isEqualTo(123);
            double[] mean = both.onDevice.meanAbsolute();
            double[] expected = both.onHost.meanAbsolute();
            double[] magnitudes = both.device.relativeMagnitudes();
            double[] ofHost = both.host.relativeMagnitudes();
            for (int i = 0; i < in; i++) {
                assertThat(mean[i]).isCloseTo(expected[i], within(1e-5 * expected[i]));
                assertThat(magnitudes[i]).isCloseTo(ofHost[i], within(1e-9 * ofHost[i]));
            }
            float[] moment = ((CudaInputStatistics) both.onDevice).moment();
            for (int i = 0; i < in; i++) {
                for (int j = 0; j < in; j++) {
                    double size = Math.sqrt(both.moment[i * in + i] * both.moment[j * in + j]);
                    // 123 products, exact, in an fp32 sum: at most as many roundings of a partial sum.
                    assertThat((double) moment[i * in + j])
                            .isCloseTo(both.moment[i * in + j], within(123 * 0x1p-24 * size));
                }
            }
            double size = both.host.outputSize(both.onHost);
            assertThat(both.device.outputSize(both.onDevice)).isCloseTo(size, within(0.005 * size));
        }
    }

    @ParameterizedTest
    @CsvSource({"72, 384, 128", "40, 192, 64", "48, 224, 32", "24, 88, -1", "16, 4352, 128"})
    void clipsAsWellAsTheHost(int rows, int in, int groupSize) {
        Random random = new Random(7 * rows);
        QuantizationSpec spec = new QuantizationSpec(4, groupSize);
        try (Both both = new Both(rows, in, spec, random)) {
            Basis basis = new Basis(factors(random, rows), factors(random, in));
            Clip found = both.device.clip(basis, both.onDevice);
            Clip expected = both.host.clip(basis, both.onHost);
            int same = 0;
            for (int i = 0; i < found.limits().length; i++) {
                if (found.shares()[i] == expected.shares()[i]) {
                    same++;
                    assertThat(found.limits()[i]).as("limit %d", i).isEqualTo(expected.limits()[i]);
                }
            }
            // Where two clips are equally good but for the fp16 of the products, the card may take the other one.
            assertThat(same).isGreaterThanOrEqualTo(found.limits().length * 95 / 100);
            assertThat(sum(both.host.errors(basis, found.limits(), both.onHost)))
                    .isCloseTo(
                            sum(both.host.errors(basis, expected.limits(), both.onHost)),
                            within(0.005 * sum(both.host.errors(basis, expected.limits(), both.onHost))));
        }
    }

    @Test
    void lossesOfCandidatesAreTheSumsOfTheirErrors() {
        Random random = new Random(3);
        QuantizationSpec spec = new QuantizationSpec(4, 128);
        try (Both both = new Both(72, 384, spec, random)) {
            List<float[]> columns = new ArrayList<>();
            columns.add(null);
            columns.add(factors(random, 384));
            columns.add(factors(random, 384));
            int[] done = {0};
            double[] losses = both.device.losses(columns, both.onDevice, () -> done[0]++);
            assertThat(done[0]).isEqualTo(3);
            for (int i = 0; i < 3; i++) {
                assertThat(losses[i])
                        .isEqualTo(sum(both.device.errors(Basis.ofColumns(columns.get(i)), null, both.onDevice)));
            }
        }
    }

    /** Shapes of which one card has several pieces, so that both have some; and one that is a single piece. */
    @ParameterizedTest
    @CsvSource({"8200, 256, 128", "16, 2176, 64", "12296, 128, -1"})
    void twoCardsComeToTheBitsOfOne(int rows, int in, int groupSize) {
        try (CudaGroup group = twoCards()) {
            Random random = new Random(rows);
            QuantizationSpec spec = new QuantizationSpec(4, groupSize);
            DenseWeight weight = DenseWeight.of("w", halves(random, rows * in, 0.02), rows, in);
            DenseWeight other = DenseWeight.of("other", new float[64], 8, 8);
            DecoderLayer layer =
                    new DecoderLayer(new float[8], weight, other, other, other, new float[8], other, other, other);
            List<float[]> inputs = new ArrayList<>();
            for (int part = 0; part < 4; part++) {
                inputs.add(inputs(random, 50, in));
            }
            List<Object> one = quantizeOn(QuantizationDevices.of(group.member(0)), layer, weight, inputs, spec);
            List<Object> two = quantizeOn(group, layer, weight, inputs, spec);
            for (int i = 0; i < one.size(); i++) {
                assertThat(two.get(i)).as("result %d", i).isEqualTo(one.get(i));
            }
        }
    }

    static CudaGroup twoCards() {
        try {
            return CudaGroup.open(List.of(0, 1), Long.MAX_VALUE, 2);
        } catch (DeviceException e) {
            return Assumptions.abort("two cards are needed: " + e.getMessage());
        }
    }

    /** All that a quantization asks of a linear, parts of its inputs on the devices in turn. */
    private static List<Object> quantizeOn(
            QuantizationDevices devices,
            DecoderLayer layer,
            DenseWeight weight,
            List<float[]> inputs,
            QuantizationSpec spec) {
        int in = weight.inFeatures();
        List<LayerFeed> feeds = new ArrayList<>();
        List<Weight> placed = new ArrayList<>();
        for (Backend member : devices.members()) {
            member.makeCurrent();
            feeds.add(member.feed(_ -> layer, 1));
            placed.add(feeds.getLast().layer(0).q());
        }
        Random random = new Random(5);
        Basis basis = new Basis(factors(random, weight.outFeatures()), factors(random, in));
        try (InputStatistics statistics = devices.statistics(in);
                LinearQuantizer quantizer = devices.quantizer(placed, weight, FILE, spec)) {
            for (int part = 0; part < inputs.size(); part++) {
                Backend member = devices.members().get(part % devices.members().size());
                member.makeCurrent();
                try (Matrix x = member.upload(inputs.get(part), inputs.get(part).length / in, in)) {
                    statistics.add(x);
                }
                statistics.endPart();
            }
            Clip clip = quantizer.clip(basis, statistics);
            QuantizedLinear rounded = quantizer.quantize(basis, clip.limits());
            return List.of(
                    statistics.meanAbsolute(),
                    quantizer.relativeMagnitudes(),
                    quantizer.losses(
                            List.of(factors(random, in), factors(random, in), factors(random, in)),
                            statistics,
                            () -> {}),
                    quantizer.errors(basis, clip.limits(), statistics),
                    quantizer.outputSize(statistics),
                    quantizer.weightError(basis, null),
                    clip.limits(),
                    clip.shares(),
                    rounded.codes(),
                    rounded.zeros(),
                    rounded.scales());
        } finally {
            for (int i = feeds.size() - 1; i >= 0; i--) {
                devices.members().get(i).makeCurrent();
                feeds.get(i).close();
            }
        }
    }

    @Test
    void aScaleBeyondFp16HasNoErrorAndIsRefused() {
        Random random = new Random(4);
        QuantizationSpec spec = new QuantizationSpec(4, 128);
        try (Both both = new Both(16, 256, spec, random)) {
            float[] columns = new float[256];
            Arrays.fill(columns, 1f);
            columns[200] = 1e9f;
            Basis basis = Basis.ofColumns(columns);
            double[] errors = both.device.errors(basis, null, both.onDevice);
            double[] expected = both.host.errors(basis, null, both.onHost);
            // Not in every row: a weight near 0 fits even so.
            assertThat(expected).contains(Double.NaN);
            for (int row = 0; row < errors.length; row++) {
                assertThat(Double.isNaN(errors[row])).as("row %d", row).isEqualTo(Double.isNaN(expected[row]));
            }
            assertThatThrownBy(() -> both.device.quantize(basis, null))
                    .isInstanceOf(BadCheckpointException.class)
                    .hasMessageContaining("does not fit an fp16 scale");
        }
    }

    private static double sum(double[] values) {
        return Arrays.stream(values).sum();
    }
}
