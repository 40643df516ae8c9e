package nibble.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import nibble.engine.tensor.Likeliest;
import nibble.engine.tensor.RowLogits;
import org.junit.jupiter.api.Test;

class LikeliestChoiceTest {
    private static final int VOCABULARY = 500;

    /** Counts how often all logits were asked for. */
    private static final class Row implements RowLogits {
        private final float[] all;
        private final Likeliest likeliest;
        private int asked;

        /** @param error of the sums, relative */
        Row(float[] all, int most, double temperature, double error) {
            this.all = all;
            double[] scores = new double[all.length];
            Arrays.setAll(scores, i -> all[i]);
            int[] ids = Arrays.copyOf(Sampler.byScore(scores), most);
            float[] logits = new float[most];
            for (int i = 0; i < most; i++) {
                logits[i] = all[ids[i]];
            }
            double sum = 0;
            double tempered = 0;
            for (float logit : all) {
                sum += Math.exp(logit - logits[0]);
                tempered += Math.exp((logit - logits[0]) / (temperature == 0 ? 1 : temperature));
            }
            this.likeliest = new Likeliest(
                    ids, logits, all.length, sum * (1 + error), tempered * (1 + error), Likeliest.NONE, 0, 0);
        }

        @Override
        public Optional<Likeliest> likeliest() {
            return Optional.of(likeliest);
        }

        @Override
        public float[] all() {
            asked++;
            return all;
        }
    }

    private static List<SamplingOptions> options() {
        List<SamplingOptions> options = new ArrayList<>(List.of(
                SamplingOptions.GREEDY,
                new SamplingOptions(0, 1, 0, 0, 1.3, 0.5, 0.5, 1),
                new SamplingOptions(0, 1, 0, 0, 0.7, -0.5, 0, 1)));
        long seed = 1;
        for (double temperature : new double[] {0.05, 0.8, 1, 1.7}) {
            for (double topP : new double[] {0.3, 0.9, 1}) {
                for (int topK : new int[] {0, 1, 20, 64, 65, 400}) {
                    options.add(new SamplingOptions(temperature, topP, topK, 0, 1, 0, 0, seed++));
                }
                options.add(new SamplingOptions(temperature, topP, 0, 0.05, 1, 0, 0, seed++));
                options.add(new SamplingOptions(temperature, topP, 30, 0.001, 1.2, 0.3, 0.2, seed++));
                options.add(new SamplingOptions(temperature, topP, 0, 0, 1.2, 0.3, 0.2, seed++));
                options.add(new SamplingOptions(temperature, topP, 10, 0, 0.8, -0.3, 0.2, seed++));
            }
        }
        return options;
    }

    @Test
    void the_likeliest_ids_give_the_text_that_all_logits_give() {
        Random random = new Random(5);
        for (SamplingOptions option : options()) {
            for (int kind = 0; kind < 3; kind++) {
                Sampler whole = new Sampler(option);
                Sampler byLikeliest = new Sampler(option);
                for (int t = 0; t < 40; t++) {
                    float[] logits = logits(random, kind);
                    double error = (random.nextDouble() * 2 - 1) * Likeliest.SUM_ERROR;
                    Row row = new Row(logits, 64, option.temperature(), error);
                    assertThat(byLikeliest.next(row))
                            .as("%s, kind %d, token %d", option, kind, t)
                            .isEqualTo(whole.next(logits));
                }
            }
        }
    }

    /** Smooth, peaked, or with many equals and infinities. */
    private static float[] logits(Random random, int kind) {
        float[] logits = new float[VOCABULARY];
        for (int i = 0; i < logits.length; i++) {
            logits[i] = switch (kind) {
                case 0 -> (float) random.nextGaussian() * 2;
                case 1 -> (float) random.nextGaussian() * 2 + (random.nextInt(50) == 0 ? 12 : 0);
                default ->
                    random.nextInt(9) == 0
                            ? Float.NEGATIVE_INFINITY
                            : random.nextInt(7) - 3 + (random.nextInt(40) == 0 ? 6 : 0);
            };
        }
        return logits;
    }

    @Test
    void all_logits_are_seldom_needed_where_the_likeliest_have_most_of_the_mass() {
        Random random = new Random(6);
        for (SamplingOptions option : List.of(
                SamplingOptions.GREEDY,
                new SamplingOptions(0.7, 0.95, 0, 1, 3),
                new SamplingOptions(1, 1, 0, 1, 3),
                new SamplingOptions(0.7, 1, 40, 1.1, 3))) {
            Sampler sampler = new Sampler(option);
            int asked = 0;
            for (int t = 0; t < 200; t++) {
                Row row = new Row(logits(random, 1), 64, option.temperature(), Likeliest.SUM_ERROR / 2);
                sampler.next(row);
                asked += row.asked;
            }
            assertThat(asked).as("%s", option).isLessThan(5);
        }
    }
}
