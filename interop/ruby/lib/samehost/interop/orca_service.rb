# frozen_string_literal: true

require 'samehost/interop/load_reports'
require 'samehost/interop/orca_service_services_pb'

module Samehost
  module Interop
    # Backend metrics out of band (ORCA, gRFC A51), for as long as one listens.
    class OrcaService < Xds::Service::Orca::V3::OpenRcaService::Service
      # How often a report is sent at most. gRFC A51 has 30 s for production and lets tests have less; with 0.1 s a case
      # is done the sooner, and ten small messages a second cost nothing.
      MIN_INTERVAL_SECONDS = 0.1

      def initialize(reports)
        super()
        @reports = reports
      end

      # Sends the report at once, then once in each interval; ends when a report can't be sent.
      def stream_core_metrics(request, call)
        return enum_for(:stream_core_metrics, request, call) unless block_given?

        loop do
          yield @reports.current
          sleep(interval(request))
        end
      end

      private

      def interval(request)
        asked = request.report_interval
        [asked ? asked.seconds + (asked.nanos / 1e9) : 0, MIN_INTERVAL_SECONDS].max
      end
    end
  end
end
