package nibble.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.InternalServerException;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.PartialResponse;
import dev.langchain4j.model.chat.response.PartialResponseContext;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.OptionalLong;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What a stream's handler is told of cancellations, failures and the model's end. */
class LocalStreamTest {
    @SuppressWarnings("NullAway.Init")
    private static LocalModel model;

    @BeforeAll
    static void open() {
        model = LocalModel.open(LocalChatModelTest.MODEL, LocalChatModelTest.SETTINGS);
    }

    @AfterAll
    static void close() {
        model.close();
    }

    /** What a stream's handler was told, and on which thread. */
    private static class Told implements StreamingChatResponseHandler {
        private final CountDownLatch first = new CountDownLatch(1);
        private final List<String> calls = new CopyOnWriteArrayList<>();
        private final AtomicReference<Thread> thread = new AtomicReference<>();

        void onFirst(PartialResponseContext context) throws InterruptedException {}

        @Override
        public void onPartialResponse(PartialResponse piece, PartialResponseContext context) {
            calls.add("piece");
            if (thread.compareAndSet(null, Thread.currentThread())) {
                try {
                    onFirst(context);
                } catch (InterruptedException e) {
                    throw new AssertionError(e);
                } finally {
                    first.countDown();
                }
            }
        }

        @Override
        public void onCompleteResponse(ChatResponse response) {
            calls.add("complete");
        }

        @Override
        public void onError(Throwable error) {
            calls.add("error " + error.getMessage());
        }

        /** Asks, and returns the calls once the stream's thread has ended. */
        List<String> ask(LocalModel model, int tokens) throws InterruptedException {
            new LocalStreamingChatModel(model, LocalChatModelTest.GREEDY, OptionalLong.empty())
                    .chat(
                            ChatRequest.builder()
                                    .messages(UserMessage.from("Where is Paris?"))
                                    .parameters(ChatRequestParameters.builder()
                                            .maxOutputTokens(tokens)
                                            .build())
                                    .build(),
                            this);
            assertThat(first.await(5, TimeUnit.MINUTES)).isTrue();
            assertThat(Objects.requireNonNull(thread.get()).join(Duration.ofMinutes(5)))
                    .isTrue();
            return calls;
        }
    }

    private static void awaitNoText(LocalModel model) throws InterruptedException {
        for (int i = 0; i < 600 && model.service().state().running() > 0; i++) {
            Thread.sleep(100);
        }
        assertThat(model.service().state().running()).isZero();
    }

    @Test
    void a_stream_is_cancelled_by_its_handle_and_nothing_follows() throws InterruptedException {
        long before = model.service().state().generatedTokens();
        List<String> calls = new Told() {
            @Override
            void onFirst(PartialResponseContext context) {
                context.streamingHandle().cancel();
            }
        }.ask(model, 200);

        assertThat(calls).containsExactly("piece");
        awaitNoText(model);
        assertThat(model.service().state().generatedTokens() - before).isLessThan(200);
    }

    @Test
    void text_that_was_made_before_a_cancellation_does_not_follow_it() throws InterruptedException {
        assertThat(
                        new Told() {
                            @Override
                            void onFirst(PartialResponseContext context) throws InterruptedException {
                                awaitNoText(model);
                                context.streamingHandle().cancel();
                            }
                        }.ask(model, 16))
                .containsExactly("piece");
    }

    @Test
    void a_handler_that_fails_after_its_cancellation_is_not_called_again() throws InterruptedException {
        assertThat(
                        new Told() {
                            @Override
                            void onFirst(PartialResponseContext context) {
                                context.streamingHandle().cancel();
                                throw new IllegalStateException("late");
                            }
                        }.ask(model, 16))
                .containsExactly("piece");
    }

    @Test
    void an_error_of_the_handler_ends_the_text_and_is_told_to_it() throws InterruptedException {
        long before = model.service().state().generatedTokens();
        assertThat(
                        new Told() {
                            @Override
                            void onFirst(PartialResponseContext context) {
                                throw new AssertionError("the handler is broken");
                            }
                        }.ask(model, 200))
                .containsExactly("piece", "error the handler is broken");
        awaitNoText(model);
        assertThat(model.service().state().generatedTokens() - before).isLessThan(200);
    }

    @Test
    void a_model_that_is_closed_while_a_text_runs_is_an_error_and_no_answer() throws InterruptedException {
        LocalModel closing = LocalModel.open(LocalChatModelTest.MODEL, LocalChatModelTest.SETTINGS);
        assertThat(
                        new Told() {
                            @Override
                            void onFirst(PartialResponseContext context) {
                                closing.close();
                            }
                        }.ask(closing, 200))
                .containsExactly("piece", "error the model was closed before the text ended; ask an open one");

        LocalModel other = LocalModel.open(LocalChatModelTest.MODEL, LocalChatModelTest.SETTINGS);
        Thread closer = Thread.ofVirtual().start(() -> {
            while (other.service().state().running() == 0) {
                LockSupport.parkNanos(100_000);
            }
            other.close();
        });
        ChatRequestParameters longer =
                ChatRequestParameters.builder().maxOutputTokens(200).build();
        assertThatThrownBy(() -> new LocalChatModel(other, LocalChatModelTest.GREEDY, OptionalLong.empty())
                        .chat(ChatRequest.builder()
                                .messages(UserMessage.from("Where is Paris?"))
                                .parameters(longer)
                                .build()))
                .isInstanceOf(InternalServerException.class)
                .hasMessageContaining("the model was closed before the text ended");
        closer.join();
    }
}
