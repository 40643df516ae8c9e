package nibble.engine.batch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import nibble.checkpoint.model.layer.Rope;
import nibble.engine.Backends;
import nibble.engine.Generator;
import nibble.engine.Llama;
import nibble.engine.RandomModel;
import nibble.engine.SamplingOptions;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BatchSchedulerTest {
    private static final int MANY = 1 << 20;

    /** Alone, a text goes through one session; together, the same rows stand between those of others. */
    @ParameterizedTest
    @CsvSource({
        "reference, 2147483647, 1000, 64",
        "cpu, 2147483647, 1000, 64",
        "cpu, 33, 1000, 64",
        "cpu, 2147483647, 17, 64",
        "cpu, 2147483647, 1000, 9",
        "reference, 33, 9, 8"
    })
    void texts_together_are_those_of_each_alone(String device, int window, int blocks, int tokensPerStep) {
        try (Backend backend = Backends.open(device, 2);
                Llama model =
                        Llama.of(RandomModel.weights(RandomModel.config(new Rope.None(), 200, window), 3), backend)) {
            List<GenerationRequest> requests = requests(12);
            BatchOptions options = new BatchOptions(8, 100, blocks * BatchOptions.BLOCK_TOKENS, tokensPerStep);
            try (BatchScheduler scheduler = new BatchScheduler(model, options)) {
                List<Heard> heard = new ArrayList<>();
                for (GenerationRequest request : requests) {
                    heard.add(new Heard());
                    scheduler.add(request, heard.getLast());
                }
                scheduler.run();

                for (int i = 0; i < requests.size(); i++) {
                    GenerationRequest r = requests.get(i);
                    int[] alone = Generator.generate(
                            model, r.prompt(), r.sampling(), r.maxNewTokens(), r.stopIds(), id -> {});
                    assertThat(heard.get(i).ids()).as("text %d", i).isEqualTo(alone);
                    assertThat(heard.get(i).ending)
                            .isEqualTo(alone.length < r.maxNewTokens() ? Ending.STOP : Ending.LENGTH);
                }
                assertThat(scheduler.state().usedBlocks()).isZero();
                assertThat(scheduler.state().preemptions() > 0).isEqualTo(blocks < 100);
            }
        }
    }

    /** Whatever runs beside them, in few blocks and by small pieces of prompts. */
    @ParameterizedTest
    @CsvSource({"cpu, 1000, 64", "cpu, 17, 64", "cpu, 1000, 9", "reference, 9, 8"})
    void texts_with_8_bit_keys_together_are_those_of_each_alone(String device, int blocks, int tokensPerStep) {
        try (Backend backend = Backends.open(device, 2);
                Llama model = Llama.of(RandomModel.weights(RandomModel.config(new Rope.None(), 200), 3), backend)) {
            List<GenerationRequest> requests = requests(12);
            int tokens = blocks * BatchOptions.BLOCK_TOKENS;
            List<Heard> heard = new ArrayList<>();
            try (BatchScheduler scheduler =
                    new BatchScheduler(model, new BatchOptions(8, 100, tokens, tokensPerStep, CacheType.INT8))) {
                for (GenerationRequest request : requests) {
                    heard.add(new Heard());
                    scheduler.add(request, heard.getLast());
                }
                scheduler.run();
                assertThat(scheduler.state().preemptions() > 0).isEqualTo(blocks < 100);
            }
            for (int i = 0; i < requests.size(); i++) {
                GenerationRequest r = requests.get(i);
                List<Integer> alone = new ArrayList<>();
                SingleText.generateWhile(
                        model, CacheType.INT8, r.prompt(), r.sampling(), r.maxNewTokens(), r.stopIds(), alone::add);
                assertThat(heard.get(i).ids())
                        .as("text %d", i)
                        .isEqualTo(alone.stream().mapToInt(Integer::intValue).toArray());
            }
        }
    }

    @Test
    void each_of_64_greedy_texts_together_is_that_text_alone() {
        try (Backend backend = Backends.open("cpu", 2);
                Llama model = Llama.of(RandomModel.weights(RandomModel.config(new Rope.None(), 200), 3), backend);
                BatchScheduler scheduler = new BatchScheduler(model, new BatchOptions(64, 64, 8000, 300))) {
            List<GenerationRequest> requests = new ArrayList<>();
            List<Heard> heard = new ArrayList<>();
            for (int i = 0; i < 64; i++) {
                requests.add(request(ids(i, 1 + i % 30), 12));
                heard.add(new Heard());
                scheduler.add(requests.getLast(), heard.getLast());
            }
            scheduler.run();

            for (int i = 0; i < 64; i++) {
                GenerationRequest r = requests.get(i);
                assertThat(heard.get(i).ids())
                        .as("text %d", i)
                        .isEqualTo(Generator.generate(model, r.prompt(), r.sampling(), 12, Set.of(), id -> {}));
            }
        }
    }

    /** Every step gives each running text a token, however many prompts come meanwhile. */
    @Test
    void no_running_text_waits_while_others_come() {
        with(1000, 40, (model, scheduler) -> {
            List<Heard> heard = new ArrayList<>();
            int[] seen = new int[30];
            for (int step = 0; step < 60 || heard.stream().anyMatch(one -> one.ending == null); step++) {
                if (step % 2 == 0 && heard.size() < seen.length) {
                    heard.add(new Heard());
                    scheduler.add(request(ids(step, 20 + step % 60), 25), heard.getLast());
                }
                scheduler.step();
                for (int i = 0; i < heard.size(); i++) {
                    Heard one = heard.get(i);
                    int now = one.tokens.size();
                    if (seen[i] > 0 && one.ending == null) {
                        assertThat(now).as("step %d, text %d", step, i).isEqualTo(seen[i] + 1);
                    }
                    seen[i] = now;
                }
            }
            assertThat(heard)
                    .hasSize(30)
                    .allSatisfy(one -> assertThat(one.tokens).hasSize(25));
            assertThat(scheduler.state().preemptions()).isZero();
        });
    }

    @Test
    void a_beginning_that_was_computed_is_found_again() {
        with(100, 64, (model, scheduler) -> {
            int[] prompt = ids(7, 50);
            Heard first = new Heard();
            scheduler.add(request(prompt, 20), first);
            scheduler.run();
            Heard second = new Heard();
            Generation again = scheduler.add(request(prompt, 20), second);
            int[] longer = Arrays.copyOf(prompt, 60);
            System.arraycopy(first.ids(), 0, longer, 50, 10);
            Generation continued = scheduler.add(request(longer, 10), new Heard());
            scheduler.run();

            assertThat(again.cachedPromptTokens()).isEqualTo(48);
            assertThat(continued.cachedPromptTokens()).isEqualTo(48);
            assertThat(second.ids()).isEqualTo(first.ids());
            assertThat(scheduler.state().cachedPromptTokens()).isEqualTo(96);
        });
    }

    /** A prompt of whole blocks: the last id must be computed, since its logits are wanted. */
    @Test
    void a_prompt_that_is_all_in_the_cache_still_gives_its_text() {
        with(100, 64, (model, scheduler) -> {
            int[] prompt = ids(8, 48);
            Heard first = new Heard();
            scheduler.add(request(prompt, 5), first);
            scheduler.run();
            Heard second = new Heard();
            Generation again = scheduler.add(request(prompt, 5), second);
            scheduler.run();

            assertThat(again.cachedPromptTokens()).isEqualTo(32);
            assertThat(second.ids()).isEqualTo(first.ids());
        });
    }

    @Test
    void prompts_and_new_tokens_are_scored_as_the_model_scores_them() {
        with(100, 16, (model, scheduler) -> {
            int[] prompt = ids(9, 41);
            Heard heard = new Heard();
            scheduler.add(new GenerationRequest(prompt, SamplingOptions.GREEDY, 6, Set.of(), 3, true), heard);
            scheduler.add(request(ids(10, 30), 9), new Heard());
            scheduler.run();

            int[] all = Arrays.copyOf(prompt, 47);
            System.arraycopy(heard.ids(), 0, all, 41, 6);
            float[] expected = model.logProbabilities(all);
            assertThat(heard.prompt).hasSize(41);
            assertThat(heard.prompt.getFirst().logProbability()).isNaN();
            for (int i = 1; i < 47; i++) {
                ScoredToken token = i < 41 ? heard.prompt.get(i) : heard.tokens.get(i - 41);
                assertThat(token.id()).isEqualTo(all[i]);
                assertThat(token.logProbability()).isCloseTo(expected[i - 1], within(1e-4f));
                assertThat(token.alternatives()).hasSize(3);
                float best = token.alternatives().getFirst().logProbability();
                assertThat(token.rank() == 1).isEqualTo(token.logProbability() == best);
            }
            // Greedy: the token is the likeliest one.
            assertThat(heard.tokens)
                    .allSatisfy(token ->
                            assertThat(token.alternatives().getFirst().id()).isEqualTo(token.id()));
        });
    }

    @Test
    void no_new_tokens_only_scores() {
        with(100, 64, (model, scheduler) -> {
            Heard heard = new Heard();
            scheduler.add(new GenerationRequest(ids(9, 20), SamplingOptions.GREEDY, 0, Set.of(), 0, true), heard);
            scheduler.run();

            assertThat(heard.prompt).hasSize(20);
            assertThat(heard.tokens).isEmpty();
            assertThat(heard.ending).isEqualTo(Ending.LENGTH);
        });
    }

    @Test
    void cancelled_and_failing_texts_give_their_blocks_back() {
        with(100, 64, (model, scheduler) -> {
            Heard cancelled = new Heard();
            Generation generation = scheduler.add(request(ids(1, 40), MANY), cancelled);
            RuntimeException thrown = new IllegalStateException("the listener's");
            Heard failing = new Heard() {
                @Override
                public boolean token(ScoredToken token) {
                    throw thrown;
                }
            };
            scheduler.add(request(ids(2, 40), MANY), failing);
            Heard other = new Heard();
            scheduler.add(request(ids(3, 40), 8), other);
            scheduler.step();
            generation.cancel();
            scheduler.run();

            assertThat(cancelled.ending).isEqualTo(Ending.CANCELLED);
            assertThat(failing.failure).isSameAs(thrown);
            assertThat(failing.ending).isNull();
            assertThat(other.tokens).hasSize(8);
            assertThat(scheduler.state().usedBlocks()).isZero();
        });
    }

    @Test
    void a_text_ends_where_the_context_ends() {
        with(3, 64, (model, scheduler) -> {
            Heard heard = new Heard();
            scheduler.add(request(ids(1, 40), MANY), heard);
            scheduler.run();

            assertThat(scheduler.contextTokens()).isEqualTo(48);
            assertThat(heard.tokens).hasSize(8);
            assertThat(heard.ending).isEqualTo(Ending.LENGTH);
            assertThatThrownBy(() -> scheduler.add(request(ids(1, 48), 1), new Heard()))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessage("context overflow: prompt of 48 tokens, at most 47 fit the context of 48");
            assertThatThrownBy(() -> scheduler.add(request(new int[] {1, 101}, 1), new Heard()))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("101");
        });
    }

    /** A long prompt is read in pieces: each step in between gives the other texts a token. */
    @Test
    void a_long_prompt_does_not_hold_up_other_texts() {
        with(100, 12, (model, scheduler) -> {
            Heard talking = new Heard();
            scheduler.add(request(ids(1, 4), 60), talking);
            scheduler.step();
            Heard late = new Heard();
            scheduler.add(request(ids(2, 90), 1), late);
            int steps = 0;
            while (late.ending == null) {
                int before = talking.tokens.size();
                scheduler.step();
                steps++;
                assertThat(talking.tokens).hasSize(before + 1);
            }
            // 11 tokens a step beside the one that talks.
            assertThat(steps).isEqualTo(9);
        });
    }

    private interface Body {
        void run(Llama model, BatchScheduler scheduler);
    }

    private static void with(int blocks, int tokensPerStep, Body body) {
        try (Backend backend = Backends.open("cpu", 2);
                Llama model = Llama.of(RandomModel.weights(RandomModel.config(new Rope.None(), 200), 3), backend);
                BatchScheduler scheduler = new BatchScheduler(
                        model, new BatchOptions(8, 100, blocks * BatchOptions.BLOCK_TOKENS, tokensPerStep))) {
            body.run(model, scheduler);
        }
    }

    private static GenerationRequest request(int[] prompt, int maxNewTokens) {
        return new GenerationRequest(prompt, SamplingOptions.GREEDY, maxNewTokens, Set.of());
    }

    /** Prompts of many lengths, some with a common beginning; greedy and sampled. */
    private static List<GenerationRequest> requests(int count) {
        List<GenerationRequest> requests = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            int[] prompt = ids(i % 4 == 0 ? 0 : i, 1 + i * 11 % 60);
            SamplingOptions sampling =
                    i % 3 == 0 ? SamplingOptions.GREEDY : new SamplingOptions(0.8, 0.9, 20, 0.02, 1.1, 0.2, 0.1, i);
            requests.add(new GenerationRequest(prompt, sampling, 25 + i, Set.of(2, 3)));
        }
        return requests;
    }

    private static int[] ids(long seed, int count) {
        return new Random(seed).ints(count, 4, 101).toArray();
    }
}
