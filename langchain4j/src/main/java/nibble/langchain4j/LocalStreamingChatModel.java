package nibble.langchain4j;

import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.PartialResponse;
import dev.langchain4j.model.chat.response.PartialResponseContext;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import java.util.OptionalLong;

/**
 * Answers LangChain4j's chat requests in pieces, by a model in this process. A request returns at once; its handler is
 * called on a virtual thread of its own, and may take its time. The handle that comes with each piece cancels the text.
 */
public final class LocalStreamingChatModel implements StreamingChatModel {
    private final LocalModel model;
    private final ChatRequestParameters defaults;
    private final OptionalLong seed;

    /**
     * Takes a model, which must stay open.
     *
     * @param defaults of requests that leave values open; temperature and top-p are 1 where these do too
     * @param seed of the draws; empty for another one each time
     */
    public LocalStreamingChatModel(LocalModel model, ChatRequestParameters defaults, OptionalLong seed) {
        this.model = model;
        this.defaults = defaults;
        this.seed = seed;
    }

    @Override
    public ChatRequestParameters defaultRequestParameters() {
        return defaults;
    }

    @Override
    public void doChat(ChatRequest request, StreamingChatResponseHandler handler) {
        LocalText text;
        try {
            text = LocalText.begin(model, request, seed);
        } catch (RuntimeException e) {
            handler.onError(e);
            return;
        }
        Thread.ofVirtual().name("nibble-stream").start(() -> write(text, handler));
    }

    private static void write(LocalText text, StreamingChatResponseHandler handler) {
        ChatResponse response;
        try {
            PartialResponseContext context = new PartialResponseContext(text);
            response = text.write(piece -> handler.onPartialResponse(new PartialResponse(piece), context));
        } catch (RuntimeException | Error e) {
            // An error of the handler's, too, must not leave a text that is generated for nobody.
            boolean unwanted = text.isCancelled();
            text.cancel();
            if (!unwanted) {
                handler.onError(e);
            }
            return;
        }
        // As LangChain4j has it, no call follows a cancellation.
        if (!text.isCancelled()) {
            handler.onCompleteResponse(response);
        }
    }
}
