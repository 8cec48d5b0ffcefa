package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// Longer bodies are told by their length alone.
const longest = 65536

type took struct {
	Name   string `json:"name"`
	Status int    `json:"status,omitempty"`
	Echo   string `json:"echo"`
	Body   string `json:"body"`
	Error  string `json:"error,omitempty"`
}

func ask(name, url, key, file string) (took, error) {
	method, body := "GET", io.Reader(nil)
	if file != "" {
		upload, err := os.Open(file)
		if err != nil {
			return took{}, err
		}
		defer upload.Close()
		// A reader of unknown length goes out in chunks.
		method, body = "POST", bufio.NewReader(upload)
	}
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		return took{}, err
	}
	request.Header.Set("Authorization", os.Getenv("AUTHORIZATION"))
	if key != "" {
		request.Header.Set("Locum-Authorization", "Bearer "+key)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return took{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return took{}, err
	}
	answer := took{Name: name, Status: response.StatusCode, Echo: response.Header.Get("X-Echo"), Body: string(text)}
	if len(text) > longest {
		answer.Body = fmt.Sprintf("%d bytes", len(text))
	}
	return answer, nil
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		step := strings.Split(lines.Text(), "\t")
		answer, err := ask(step[0], step[1], step[2], step[3])
		if err != nil {
			answer = took{Name: step[0], Error: err.Error()}
		}
		out.Encode(answer)
	}
}
