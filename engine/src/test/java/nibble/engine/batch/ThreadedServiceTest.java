package nibble.engine.batch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import nibble.checkpoint.model.layer.Rope;
import nibble.engine.Backends;
import nibble.engine.Generator;
import nibble.engine.Llama;
import nibble.engine.RandomModel;
import nibble.engine.SamplingOptions;
import nibble.engine.backend.Backend;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(600)
class ThreadedServiceTest {
    @Test
    void every_thread_gets_the_text_of_its_own_prompt() throws Exception {
        with(new BatchOptions(8, 100, 1000, 32), (model, service) -> {
            List<Thread> clients = new ArrayList<>();
            List<Heard> heard = new ArrayList<>();
            for (int i = 0; i < 40; i++) {
                int number = i;
                heard.add(new Heard());
                clients.add(Thread.ofVirtual().start(() -> service.submit(request(number, 20), heard.get(number))));
            }
            for (Thread client : clients) {
                client.join();
            }
            service.drain();

            assertThat(service.state().running()).isZero();
            assertThat(service.state().usedBlocks()).isZero();
            assertThat(service.state().generatedTokens())
                    .isEqualTo(heard.stream().mapToLong(h -> h.tokens.size()).sum());
            assertThatThrownBy(() -> service.submit(request(0, 1), new Heard()))
                    .isInstanceOf(IllegalStateException.class);
            service.close();
            for (int i = 0; i < 40; i++) {
                int[] alone = Generator.generate(
                        model, request(i, 20).prompt(), SamplingOptions.GREEDY, 20, Set.of(), id -> {});
                assertThat(heard.get(i).ids()).isEqualTo(alone);
            }
        });
    }

    @Test
    void a_full_queue_rejects_and_a_cancelled_text_makes_room() throws Exception {
        with(new BatchOptions(1, 1, 1000, 32), (model, service) -> {
            CountDownLatch began = new CountDownLatch(1);
            CountDownLatch goOn = new CountDownLatch(1);
            Heard slow = new Heard() {
                @Override
                public boolean token(ScoredToken token) {
                    began.countDown();
                    try {
                        goOn.await(5, TimeUnit.MINUTES);
                    } catch (InterruptedException e) {
                        throw new IllegalStateException(e);
                    }
                    return super.token(token);
                }
            };
            Generation first = service.submit(request(0, 100), slow);
            assertThat(began.await(5, TimeUnit.MINUTES)).isTrue();
            Heard second = new Heard();
            Generation waiting = service.submit(request(1, 5), second);

            assertThatThrownBy(() -> service.submit(request(2, 5), new Heard()))
                    .isInstanceOf(QueueFullException.class)
                    .hasMessage("2 texts run or wait already, at most 2 may; try again later");

            waiting.cancel();
            first.cancel();
            goOn.countDown();
            second.end.await();
            slow.end.await();
            assertThat(second.ending).isEqualTo(Ending.CANCELLED);
            assertThat(slow.ending).isEqualTo(Ending.CANCELLED);
            Heard third = new Heard();
            service.submit(request(2, 5), third);
            third.end.await();
            assertThat(third.tokens).hasSize(5);
        });
    }

    /** The end is told from within a step, whose state others see later. */
    @Test
    void a_client_that_hears_of_the_end_may_submit_at_once() throws Exception {
        with(new BatchOptions(1, 1, 1000, 32), (model, service) -> {
            Heard next = new Heard();
            List<Generation> submitted = new ArrayList<>();
            Heard last = new Heard() {
                @Override
                public void ended(Ending ending) {
                    submitted.add(service.submit(request(2, 5), next));
                    super.ended(ending);
                }
            };
            service.submit(request(0, 5), last);
            service.submit(request(1, 50), new Heard());
            last.end.await();
            assertThat(last.failure).isNull();
            next.end.await();
            assertThat(submitted).hasSize(1);
            assertThat(next.tokens).hasSize(5);
        });
    }

    @Test
    void closing_cancels_what_runs_and_waits() throws Exception {
        with(new BatchOptions(2, 10, 1000, 32), (model, service) -> {
            List<Heard> heard = new ArrayList<>();
            for (int i = 0; i < 5; i++) {
                heard.add(new Heard());
                service.submit(request(i, 180), heard.get(i));
            }
            service.close();

            assertThat(heard).allSatisfy(h -> {
                assertThat(h.end.getCount()).isZero();
                assertThat(h.ending).isIn(Ending.CANCELLED, Ending.LENGTH);
            });
        });
    }

    private interface Body {
        void run(Llama model, ThreadedService service) throws Exception;
    }

    private static void with(BatchOptions options, Body body) throws Exception {
        try (Backend backend = Backends.open("cpu", 2);
                Llama model = Llama.of(RandomModel.weights(RandomModel.config(new Rope.None(), 200), 3), backend);
                ThreadedService service = new ThreadedService(model, options)) {
            body.run(model, service);
        }
    }

    private static GenerationRequest request(int seed, int maxNewTokens) {
        int[] prompt = new Random(seed).ints(3 + seed % 13, 4, 101).toArray();
        return new GenerationRequest(prompt, SamplingOptions.GREEDY, maxNewTokens, Set.of());
    }
}
