# docker build -t radplan . && docker run --rm -v "$PWD/results:/runs/results" radplan compare
FROM python:3.11-slim

COPY . /source
RUN pip install --no-cache-dir --constraint /source/constraints.txt '/source[llm]' && rm -rf /source

# Results lie in /runs/results; OPENAI_API_KEY comes from `docker run --env`, never from the image.
WORKDIR /runs
ENTRYPOINT ["radplan"]
CMD ["compare"]
