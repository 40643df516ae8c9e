package nibble.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class SamplerTest {
    private static final float[] LOGITS = {(float) Math.log(0.1), (float) Math.log(0.6), (float) Math.log(0.3)};

    private static double[] shares(SamplingOptions options, float[] logits) {
        Sampler sampler = new Sampler(options);
        double[] share = new double[logits.length];
        int draws = 20000;
        for (int i = 0; i < draws; i++) {
            share[sampler.next(logits)] += 1.0 / draws;
        }
        return share;
    }

    @Test
    void temperature_zero_is_greedy() {
        assertThat(shares(SamplingOptions.GREEDY, LOGITS)).containsExactly(new double[] {0, 1, 0}, within(1e-9));
    }

    @Test
    void temperature_one_draws_by_probability() {
        assertThat(shares(new SamplingOptions(1, 1, 0, 1, 42), LOGITS))
                .containsExactly(new double[] {0.1, 0.6, 0.3}, within(0.015));
    }

    @Test
    void temperature_sharpens() {
        // 0.1², 0.6², 0.3² of their sum 0.46
        assertThat(shares(new SamplingOptions(0.5, 1, 0, 1, 42), LOGITS))
                .containsExactly(new double[] {0.0217, 0.7826, 0.1957}, within(0.015));
    }

    @Test
    void top_k_and_top_p_cut_the_tail() {
        double[] two = {0, 2 / 3.0, 1 / 3.0};
        assertThat(shares(new SamplingOptions(1, 1, 2, 1, 1), LOGITS)).containsExactly(two, within(0.015));
        assertThat(shares(new SamplingOptions(1, 0.7, 0, 1, 1), LOGITS)).containsExactly(two, within(0.015));
        assertThat(shares(new SamplingOptions(1, 0.5, 0, 1, 1), LOGITS))
                .containsExactly(new double[] {0, 1, 0}, within(1e-9));
    }

    @Test
    void same_seed_same_tokens() {
        Sampler one = new Sampler(new SamplingOptions(1, 1, 0, 1, 9));
        Sampler other = new Sampler(new SamplingOptions(1, 1, 0, 1, 9));
        for (int i = 0; i < 100; i++) {
            assertThat(one.next(LOGITS)).isEqualTo(other.next(LOGITS));
        }
    }

    @Test
    void the_repetition_penalty_makes_both_signs_less_likely() {
        Sampler sampler = new Sampler(new SamplingOptions(0, 1, 0, 2, 0));
        sampler.observe(0);
        assertThat(sampler.next(new float[] {1.5f, 1f, -3f})).isEqualTo(1);
        Sampler negative = new Sampler(new SamplingOptions(0, 1, 0, 2, 0));
        negative.observe(0);
        assertThat(negative.next(new float[] {-1f, -1.5f, -3f})).isEqualTo(1);
    }

    @Test
    void NaN_and_bad_options_are_refused() {
        assertThatThrownBy(() -> new Sampler(SamplingOptions.GREEDY).next(new float[] {0, Float.NaN}))
                .hasMessageContaining("logit of token 1 is NaN");
        assertThatThrownBy(() -> new SamplingOptions(-1, 1, 0, 1, 0)).hasMessageContaining("temperature -1.0");
        assertThatThrownBy(() -> new SamplingOptions(1, 0, 0, 1, 0)).hasMessageContaining("top-p 0.0");
    }

    @Test
    void ids_are_ordered_by_score_and_equal_scores_by_id() {
        double[] scores = {0.5, -0.0, 0.0, 2, 0.5, Double.NEGATIVE_INFINITY, 2, -1, Double.NEGATIVE_INFINITY};

        assertThat(Sampler.byScore(scores)).containsExactly(3, 6, 0, 4, 2, 1, 7, 5, 8);
    }
}
