package nibble.langchain4j;

import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.exception.InternalServerException;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.RateLimitException;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.StreamingHandle;
import dev.langchain4j.model.output.FinishReason;
import dev.langchain4j.model.output.TokenUsage;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Consumer;
import nibble.datasets.BadDatasetException;
import nibble.datasets.TextStream;
import nibble.engine.SamplingOptions;
import nibble.engine.batch.Ending;
import nibble.engine.batch.Generation;
import nibble.engine.batch.GenerationListener;
import nibble.engine.batch.GenerationRequest;
import nibble.engine.batch.QueueFullException;
import nibble.engine.batch.ScoredToken;
import org.jspecify.annotations.Nullable;

/**
 * One text in the making. The service's thread only queues what happens; the thread that calls {@link #write} makes
 * text of it.
 */
final class LocalText implements StreamingHandle, GenerationListener {
    /** What happened; one of the three is there. */
    private record Event(
            @Nullable ScoredToken token,
            @Nullable Ending ending,
            @Nullable RuntimeException failure) {}

    private final LocalModel model;
    private final List<String> stops;
    private final int[] prompt;
    private final Generation generation;
    private final LinkedBlockingQueue<Event> events = new LinkedBlockingQueue<>();
    private volatile boolean cancelled;
    /** Whether the service gave the text up, which nobody had cancelled. */
    private volatile boolean lost;

    private LocalText(LocalModel model, ChatRequestParameters asked, int[] prompt, OptionalLong seed) {
        this.model = model;
        this.prompt = prompt;
        this.stops = stops(model, asked);
        int room = model.contextTokens() - prompt.length;
        Integer most = asked.maxOutputTokens();
        if (room < 1) {
            throw new InvalidRequestException("the conversation has " + prompt.length + " tokens, the context "
                    + model.contextTokens() + "; shorten it");
        }
        if (most != null && (most < 1 || most > room)) {
            throw new InvalidRequestException("maxOutputTokens " + most + ": 1 to " + room
                    + " are possible after a conversation of " + prompt.length + " tokens");
        }
        GenerationRequest request =
                new GenerationRequest(prompt, sampling(asked, seed), most == null ? room : (int) most, model.stopIds());
        try {
            this.generation = model.service().submit(request, this);
        } catch (QueueFullException e) {
            throw new RateLimitException(e);
        } catch (IllegalArgumentException e) {
            throw new InvalidRequestException(e);
        }
    }

    /**
     * Queues the answer to a conversation.
     *
     * @param seed of the draws; empty for another one each time
     * @throws InvalidRequestException if the model cannot answer it: too long, a template that refuses it
     * @throws RateLimitException if too many texts wait
     */
    static LocalText begin(LocalModel model, ChatRequest request, OptionalLong seed) {
        ChatRequestParameters asked = request.parameters();
        Conversations.requireKnown(asked, model.name());
        try {
            String text = model.template().render(Conversations.of(request.messages()), model.tokens());
            return new LocalText(model, asked, model.tokenizer().encode(text, false), seed);
        } catch (BadDatasetException e) {
            throw new InvalidRequestException(e.getMessage(), e);
        }
    }

    /** Built-in templates end the assistant's turn by texts, where the model writes no id for it. */
    private static List<String> stops(LocalModel model, ChatRequestParameters asked) {
        List<String> stops = new ArrayList<>(model.template().stops());
        if (asked.stopSequences() != null) {
            stops.addAll(asked.stopSequences());
        }
        return List.copyOf(stops);
    }

    private static SamplingOptions sampling(ChatRequestParameters asked, OptionalLong seed) {
        try {
            return new SamplingOptions(
                    or(asked.temperature(), 1),
                    or(asked.topP(), 1),
                    asked.topK() == null ? 0 : asked.topK(),
                    0,
                    1,
                    or(asked.frequencyPenalty(), 0),
                    or(asked.presencePenalty(), 0),
                    seed.orElseGet(() -> ThreadLocalRandom.current().nextLong()));
        } catch (IllegalArgumentException e) {
            throw new InvalidRequestException(e.getMessage(), e);
        }
    }

    private static double or(@Nullable Double value, double usual) {
        return value == null ? usual : value;
    }

    /**
     * Waits for the whole text.
     *
     * @param pieces takes text as soon as it is certain; none once the text is cancelled
     * @throws InternalServerException if the text fails, or the model is closed before it ended
     */
    ChatResponse write(Consumer<String> pieces) {
        TextStream stream = new TextStream(model.tokenizer(), stops, prompt, piece -> {
            if (!cancelled) {
                pieces.accept(piece);
            }
        });
        int tokens = 0;
        while (true) {
            Event event = next();
            if (lost) {
                // Before anything is decoded: the tokenizer is closed with the model.
                throw new InternalServerException("the model was closed before the text ended; ask an open one");
            }
            if (event.failure() != null) {
                throw new InternalServerException(event.failure());
            }
            if (event.ending() != null) {
                stream.end();
                // The id that ended the text counts, as servers count it.
                int ended = event.ending() == Ending.STOP ? 1 : 0;
                return response(stream.text(), tokens + ended, reason(event.ending()));
            }
            if (event.token() != null) {
                tokens++;
                if (!stream.add(event.token().id())) {
                    generation.cancel();
                    return response(stream.text(), tokens, FinishReason.STOP);
                }
            }
        }
    }

    private Event next() {
        try {
            return events.take();
        } catch (InterruptedException e) {
            generation.cancel();
            Thread.currentThread().interrupt();
            throw new InternalServerException("interrupted before the text ended", e);
        }
    }

    private static FinishReason reason(Ending ending) {
        return switch (ending) {
            case STOP -> FinishReason.STOP;
            case LENGTH -> FinishReason.LENGTH;
            case CANCELLED -> FinishReason.OTHER;
        };
    }

    private ChatResponse response(String text, int tokens, FinishReason reason) {
        return ChatResponse.builder()
                .aiMessage(AiMessage.from(text))
                .modelName(model.name())
                .tokenUsage(new TokenUsage(prompt.length, tokens))
                .finishReason(reason)
                .build();
    }

    @Override
    public void cancel() {
        cancelled = true;
        generation.cancel();
    }

    @Override
    public boolean isCancelled() {
        return cancelled;
    }

    @Override
    public boolean token(ScoredToken token) {
        events.add(new Event(token, null, null));
        return true;
    }

    @Override
    public void ended(Ending ending) {
        lost = ending == Ending.CANCELLED && !cancelled;
        events.add(new Event(null, ending, null));
    }

    @Override
    public void failed(RuntimeException cause) {
        events.add(new Event(null, null, cause));
    }
}
