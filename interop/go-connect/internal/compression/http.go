package compression

import (
	"io"
	"net/http"
)

// Transport is the transport of clients. It compresses and observes the calls whose context has a Call.
type Transport struct{ http.RoundTripper }

// RoundTrip sends a request and receives the response.
func (t Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	call, ok := request.Context().Value(key{}).(*Call)
	if !ok {
		return t.RoundTripper.RoundTrip(request)
	}
	request = request.Clone(request.Context())
	request.Body = &sentBody{ReadCloser: request.Body, compressor: compressor{call: call}}
	request.ContentLength, request.GetBody = -1, nil
	response, err := t.RoundTripper.RoundTrip(request)
	if err == nil {
		response.Body = &receivedBody{response.Body, observer{call: call}}
	}
	return response, err
}

// Handler is the handler of servers. It adds a Call to the context of each call, and compresses and observes the call.
func Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		ctx, call := WithCall(request.Context())
		request = request.WithContext(ctx)
		request.Body = &receivedBody{request.Body, observer{call: call}}
		next.ServeHTTP(&responseWriter{writer, compressor{call: call}}, request)
	})
}

type receivedBody struct {
	io.ReadCloser
	observer
}

func (b *receivedBody) Read(piece []byte) (int, error) {
	size, err := b.ReadCloser.Read(piece)
	b.observe(piece[:size])
	return size, err
}

type sentBody struct {
	io.ReadCloser
	compressor
	ready []byte
	err   error // returned when ready is empty
}

func (b *sentBody) Read(piece []byte) (int, error) {
	for len(b.ready) == 0 && b.err == nil {
		var size int
		size, b.err = b.ReadCloser.Read(piece)
		ready, err := b.compress(piece[:size])
		if err != nil {
			return 0, err
		}
		b.ready = ready
	}
	size := copy(piece, b.ready)
	b.ready = b.ready[size:]
	if len(b.ready) > 0 {
		return size, nil
	}
	return size, b.err
}

type responseWriter struct {
	http.ResponseWriter
	compressor
}

func (w *responseWriter) Write(piece []byte) (int, error) {
	if w.Header().Get("Grpc-Encoding") != "gzip" { // the client does not accept gzip
		return w.ResponseWriter.Write(piece)
	}
	ready, err := w.compress(piece)
	if err != nil {
		return 0, err
	}
	if _, err := w.ResponseWriter.Write(ready); err != nil {
		return 0, err
	}
	return len(piece), nil
}

// Flush implements http.Flusher, which connect-go needs for streams.
func (w *responseWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap serves http.ResponseController.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
